//! One attempt: an event, signed, in a POST to where its webhook leads. What is answered is a status; redirects are not
//! followed, for they lead where nobody judged, and the body is of no interest.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use keystile_core::api::UpstreamProtocol;
use keystile_core::id::EventId;
use keystile_core::webhook::WebhookUrl;
use rustls::pki_types::ServerName;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;
use zeroize::Zeroizing;

use super::Webhooks;
use super::sign::signatures;
use crate::upstream::Stream;
use crate::upstream::dial::connect;

/// How long an attempt may take, until the status of the answer is there.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a receiver may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How much of an answer's body is read, and for how long: enough that an ordinary receiver can say it to its end.
const MAX_ANSWER_BYTES: usize = 16 << 10;
const ANSWER: Duration = Duration::from_secs(1);
/// Longest head of an answer.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Longest sentence about a failure.
const MAX_WHY_CHARS: usize = 300;
const AGENT: HeaderValue = HeaderValue::from_static("Keystile-Webhooks");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why an event did not arrive.
pub(super) struct Failure {
    /// The status of the answer, if there was one.
    pub(super) status: Option<u16>,
    /// A sentence for the webhook's owner.
    pub(super) why: String,
}

impl Failure {
    fn unanswered(why: impl Into<String>) -> Self {
        // What others said is in it, such as the names in a certificate, and there may be many.
        Self { status: None, why: why.into().chars().take(MAX_WHY_CHARS).collect() }
    }
}

impl Webhooks {
    /// Sends an event; the status with which it was taken.
    pub(super) async fn send(
        &self,
        url: &WebhookUrl,
        event: EventId,
        body: Bytes,
        secrets: &[Zeroizing<Vec<u8>>],
    ) -> Result<u16, Failure> {
        let status = timeout(PATIENCE, self.ask(url, event, body, secrets)).await;
        let status = status.map_err(|_| Failure::unanswered("it did not answer within 15 seconds"))??;
        let status = (status.as_u16(), status);
        match status {
            (status, kind) if kind.is_success() => Ok(status),
            (status, kind) if kind.is_redirection() => Err(Failure {
                status: Some(status),
                why: format!("it answered {status}, and redirects are not followed"),
            }),
            (status, _) => Err(Failure { status: Some(status), why: format!("it answered {status}") }),
        }
    }

    async fn ask(
        &self,
        url: &WebhookUrl,
        event: EventId,
        body: Bytes,
        secrets: &[Zeroizing<Vec<u8>>],
    ) -> Result<StatusCode, Failure> {
        let addresses = self.guard.addresses(url).await.map_err(|refused| Failure::unanswered(refused.to_string()))?;
        let (stream, _) = connect(&addresses, CONNECT)
            .await
            .map_err(|error| Failure::unanswered(format!("it can't be reached: {}", cause(&error))))?;
        let stream = self
            .secured(url, stream)
            .await
            .map_err(|error| Failure::unanswered(format!("TLS with it fails: {}", cause(&error))))?;
        let broke = |error: hyper::Error| Failure::unanswered(format!("the connection broke: {error}"));
        let mut client = http1::Builder::new();
        let (mut sender, connection) =
            client.max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(stream)).await.map_err(broke)?;
        // Ends with this attempt, however it ends.
        let mut carrying = JoinSet::new();
        carrying.spawn(connection);
        let answer = sender.send_request(self.request(url, event, body, secrets)?).await.map_err(broke)?;
        let status = answer.status();
        let rest = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect();
        let _ = timeout(ANSWER, rest).await;
        Ok(status)
    }

    async fn secured(&self, url: &WebhookUrl, stream: tokio::net::TcpStream) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        if !url.is_tls() {
            return Ok(Either::Left(stream));
        }
        let name = ServerName::try_from(url.host()).map_err(io::Error::other)?.to_owned();
        let client = self.tls.current().client(UpstreamProtocol::Http1);
        Ok(Either::Right(Box::new(TlsConnector::from(client).connect(name, stream).await?)))
    }

    fn request(
        &self,
        url: &WebhookUrl,
        event: EventId,
        body: Bytes,
        secrets: &[Zeroizing<Vec<u8>>],
    ) -> Result<Request<Full<Bytes>>, Failure> {
        // Of this attempt: a receiver that refuses old ones takes it, however often it was tried.
        let moment = self.clock.now().wall.as_secs();
        let id = event.to_string();
        let signature = signatures(secrets, &id, moment, &body);
        Request::post(url.target())
            .header(HOST, url.authority())
            .header(USER_AGENT, AGENT)
            .header(CONTENT_TYPE, JSON)
            .header(CONNECTION, HeaderValue::from_static("close"))
            .header("webhook-id", id)
            .header("webhook-timestamp", moment)
            .header("webhook-signature", signature)
            .body(Full::new(body))
            .map_err(|_| Failure::unanswered("its URL can't be put into a request"))
    }
}

/// What a failure of the system means, without the addresses that are in its own words.
fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "the connection was refused".to_owned(),
        io::ErrorKind::TimedOut => "no connection in time".to_owned(),
        _ => error.to_string(),
    }
}
