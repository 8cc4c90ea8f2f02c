//! The built-in upstream of `keystile dev`: answers with what it got, so that one sees what the gateway passes on.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};

/// A request with this field is answered with that status; the replay of logs asks so.
const STATUS_FIELD: &str = "x-keystile-echo-status";

/// Takes its port.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("the built-in upstream can't listen on {address}: {error}"))
    })
}

/// Answers until the process ends.
pub(crate) async fn run(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream));
            }
            Err(error) => {
                tracing::warn!(%error, "the built-in upstream could not accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let connection = hyper::server::conn::http1::Builder::new()
        .max_buf_size(256 << 10)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the built-in upstream ended early");
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, mut body) = request.into_parts();
    let mut body_bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        body_bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    let mut headers = Map::new();
    for name in parts.headers.keys() {
        let mut values =
            parts.headers.get_all(name).iter().map(|value| Value::from(String::from_utf8_lossy(value.as_bytes())));
        let value = match (values.next(), values.next()) {
            (Some(one), None) => one,
            (first, second) => first.into_iter().chain(second).chain(values).collect(),
        };
        headers.insert(name.to_string(), value);
    }
    let wanted = parts.headers.get(STATUS_FIELD).and_then(|value| value.to_str().ok());
    let status = wanted.and_then(|text| text.parse().ok()).filter(|status| (200..=599).contains(status)).unwrap_or(200);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let has_body = status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
    let text = json!({
        "method": parts.method.as_str(), "path": parts.uri.path(), "query": parts.uri.query(), "headers": headers, "body_bytes": body_bytes,
    });
    let mut response =
        Response::new(Full::new(Bytes::from(if has_body { format!("{text}\n") } else { String::new() })));
    *response.status_mut() = status;
    if has_body {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(response)
}
