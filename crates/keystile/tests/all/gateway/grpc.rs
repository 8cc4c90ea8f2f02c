//! gRPC through the gateway (G-21), and HTTP/2 to upstreams: a client and a server of another maker at both ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::tokio_stream::{Stream, StreamExt};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::metadata::MetadataMap;
use tonic::server::{NamedService, StreamingService, UnaryService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};

use super::Stage;
use super::stage::{Served, serve};

/// Messages that are just bytes.
#[derive(Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

/// A server that gives messages back, and remembers what came with them.
#[derive(Clone, Default)]
struct Echo {
    seen: Arc<Mutex<Vec<MetadataMap>>>,
    connections: Arc<AtomicUsize>,
}

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let own = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Raw);
            Ok(match request.uri().path() {
                "/test.Echo/Chat" => grpc.streaming(own, request).await,
                _ => grpc.unary(own, request).await,
            })
        })
    }
}

impl UnaryService<Vec<u8>> for Echo {
    type Response = Vec<u8>;
    type Future = BoxFuture<Response<Vec<u8>>, Status>;

    fn call(&mut self, request: Request<Vec<u8>>) -> Self::Future {
        self.seen.lock().expect("no holder panics").push(request.metadata().clone());
        Box::pin(async move {
            let message = request.into_inner();
            if message == b"fail" {
                let mut status = Status::failed_precondition("not now, später");
                status.metadata_mut().insert("x-why", "because".parse().expect("it is ASCII"));
                return Err(status);
            }
            Ok(Response::new(message))
        })
    }
}

type Messages = Pin<Box<dyn Stream<Item = Result<Vec<u8>, Status>> + Send>>;

impl StreamingService<Vec<u8>> for Echo {
    type Response = Vec<u8>;
    type ResponseStream = Messages;
    type Future = BoxFuture<Response<Messages>, Status>;

    fn call(&mut self, request: Request<Streaming<Vec<u8>>>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(Box::pin(request.into_inner()) as Messages)) })
    }
}

struct Scene {
    runtime: Runtime,
    stage: Stage,
    echo: Echo,
    _served: Served,
}

impl Scene {
    fn new(settings: Value) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let echo = Echo::default();
        let address = runtime.block_on(listen(echo.clone()));
        let served = serve("h2c = true\nbody_stall_seconds = 1", "");
        let mut api = json!({ "upstream": format!("http://{address}"), "upstream_protocol": "http2" });
        api.as_object_mut().expect("an object").extend(settings.as_object().expect("an object").clone());
        let stage = Stage::on(&served.installation, api, json!({}));
        Self { runtime, stage, echo, _served: served }
    }

    fn client(&self) -> Grpc<Channel> {
        let origin = format!("http://{}", self.stage.host).parse().expect("a URL");
        let endpoint = Endpoint::from_shared(format!("http://{}", self.stage.gateway)).expect("a URL").origin(origin);
        Grpc::new(self.runtime.block_on(endpoint.connect()).expect("it speaks HTTP/2"))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let key = format!("Bearer {}", self.stage.key).parse().expect("keys are ASCII");
        request.metadata_mut().insert("authorization", key);
        request
    }

    fn unary(&self, client: &mut Grpc<Channel>, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Status> {
        self.runtime.block_on(async {
            client.ready().await.expect("it is connected");
            client.unary(request, http::uri::PathAndQuery::from_static("/test.Echo/Say"), Raw).await
        })
    }
}

async fn listen(echo: Echo) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let connections = echo.connections.clone();
    let incoming = tonic::transport::server::TcpIncoming::from(listener).map(move |connection| {
        connections.fetch_add(1, Ordering::Relaxed);
        connection
    });
    tokio::spawn(Server::builder().add_service(echo).serve_with_incoming(incoming));
    address
}

#[test]
fn g21_a_call_of_grpc_goes_through_with_its_trailers() {
    let scene = Scene::new(json!({}));
    let mut client = scene.client();
    for len in [0, 1, 100_000] {
        let answer = scene.unary(&mut client, scene.request(vec![7; len])).expect("it is answered");
        assert!(answer.metadata().get("x-request-id").is_some());
        assert_eq!(answer.into_inner(), vec![7; len]);
    }
    let seen = scene.echo.seen.lock().unwrap();
    let field = |name: &str| seen[0].get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(field("te").as_deref(), Some("trailers"), "{seen:?}");
    assert_eq!(field("x-consumer-id").as_ref(), Some(&scene.stage.project_id));
    assert_eq!(field("authorization"), None, "the key goes no further");
    drop(seen);
    let status = scene.unary(&mut client, scene.request(b"fail".to_vec())).unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "not now, später"));
    assert_eq!(status.metadata().get("x-why").map(|why| why.as_bytes()), Some(&b"because"[..]));
    scene.stage.counts_only("allowed", 200, 4);
}

#[test]
fn g21_messages_stream_both_ways_and_may_rest_for_longer_than_a_body() {
    let scene = Scene::new(json!({}));
    let mut client = scene.client();
    scene.runtime.block_on(async {
        client.ready().await.unwrap();
        let (sender, receiver) = mpsc::channel(1);
        let path = http::uri::PathAndQuery::from_static("/test.Echo/Chat");
        sender.send(b"first".to_vec()).await.unwrap();
        let answer = client.streaming(scene.request(ReceiverStream::new(receiver)), path, Raw).await.unwrap();
        let mut messages = answer.into_inner();
        assert_eq!(messages.message().await.unwrap().unwrap(), b"first");
        // The body may pause for a second elsewhere; a stream of messages rests as long as it likes.
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        for n in 0..50_u8 {
            sender.send(vec![n; 1_000]).await.unwrap();
            assert_eq!(messages.next().await.unwrap().unwrap(), vec![n; 1_000]);
        }
        drop(sender);
        assert!(messages.message().await.unwrap().is_none());
    });
}

#[test]
fn g21_a_refusal_is_a_status_that_clients_of_grpc_read() {
    let scene = Scene::new(json!({ "body_limit_bytes": 100 }));
    let mut client = scene.client();
    let without_key = scene.unary(&mut client, Request::new(b"a".to_vec())).unwrap_err();
    assert_eq!(without_key.code(), Code::Unauthenticated);
    assert!(without_key.message().starts_with("key_missing: "), "{without_key:?}");
    assert!(without_key.metadata().get("x-request-id").is_some());
    // Each message has the size that bodies have elsewhere, however many there are.
    assert_eq!(scene.unary(&mut client, scene.request(vec![1; 101])).unwrap_err().code(), Code::ResourceExhausted);
    assert!(scene.unary(&mut client, scene.request(vec![1; 100])).is_ok());
    let limit = json!({ "policy": { "rate_limits": [{ "name": "one", "limit": 1, "window_seconds": 3_600 }] } });
    let path = format!("/v1/keys/{}", scene.stage.key_id);
    let (status, answer) = scene.stage.manage.patch(&path, &limit["policy"]);
    assert_eq!(status, 200, "{answer}");
    assert!(scene.unary(&mut client, scene.request(b"a".to_vec())).is_ok());
    let limited = scene.unary(&mut client, scene.request(b"a".to_vec())).unwrap_err();
    assert_eq!(limited.code(), Code::ResourceExhausted);
    assert!(limited.metadata().get("retry-after").is_some() && limited.metadata().get("ratelimit").is_some());
    let down = json!({ "upstream": format!("http://{}", keystile_testkit::raw::nobody()) });
    scene.stage.manage.patch(&format!("/v1/apis/{}", scene.stage.api_id), &down);
    scene.stage.manage.patch(&path, &json!({ "rate_limits": [] }));
    assert_eq!(scene.unary(&mut client, scene.request(b"a".to_vec())).unwrap_err().code(), Code::Unavailable);
    scene.stage.manage.post(&format!("{path}/revoke"), &json!({}));
    assert_eq!(scene.unary(&mut client, scene.request(b"a".to_vec())).unwrap_err().code(), Code::Unauthenticated);
}

#[test]
fn ordinary_calls_go_to_an_upstream_over_few_connections_of_http_2() {
    let scene = Scene::new(json!({}));
    // The echo knows no such content type; what counts is that its answer comes, over HTTP/2, to a client of HTTP/1.1.
    let answers: Vec<_> = (0..20).map(|_| scene.stage.call("POST /test.Echo/Say", &[], b"body")).collect();
    for answer in answers {
        assert_eq!(answer.all("x-request-id").len(), 1, "{}", answer.text());
        assert!(answer.status == 200 || answer.status == 415, "{}", answer.status);
    }
    // One for each worker at most.
    assert!(
        scene.echo.connections.load(Ordering::Relaxed) <= std::thread::available_parallelism().unwrap().get(),
        "{:?}",
        scene.echo.connections
    );
    // An upstream that speaks HTTP/1.1 alone gives no sound answer.
    let plain = Stage::with(json!({ "upstream_protocol": "http2" }), json!({}));
    let answer = plain.call("GET /open", &[], b"");
    plain.check_problem(&answer, 502, "upstream_unreachable", "no HTTP/2 there");
}

#[test]
fn g21_content_types_and_lengths_are_judged_as_elsewhere() {
    let scene = Scene::new(json!({}));
    let mut client = scene.client();
    let key = format!("/v1/keys/{}", scene.stage.key_id);
    let api = format!("/v1/apis/{}", scene.stage.api_id);
    let formats = |formats: Value| json!({ "restrictions": { "formats": formats } });
    for (path, rule, code, word) in [
        (&key, formats(json!({ "request_types": ["application/json"] })), Code::PermissionDenied, "format_forbidden"),
        (&key, formats(json!({ "response_types": ["application/json"] })), Code::PermissionDenied, "format_forbidden"),
        (&key, formats(json!({ "max_body_bytes": 2 })), Code::ResourceExhausted, "content_too_large"),
        (&key, formats(json!({ "request_types": ["application/grpc"], "max_body_bytes": 3 })), Code::Ok, ""),
        (&key, formats(json!({ "response_types": ["application/grpc"] })), Code::Ok, ""),
        (&api, json!({ "request_types": ["application/json"] }), Code::InvalidArgument, "media_type_unsupported"),
        (&api, json!({ "request_types": ["application/*"] }), Code::Ok, ""),
        (&api, json!({ "response_types": ["application/json"] }), Code::Unavailable, "upstream_unreachable"),
        (&api, json!({ "response_types": ["application/grpc"] }), Code::Ok, ""),
    ] {
        let (status, answer) = scene.stage.manage.patch(path, &rule);
        assert_eq!(status, 200, "{answer}");
        let before = scene.echo.seen.lock().unwrap().len();
        match scene.unary(&mut client, scene.request(b"abc".to_vec())) {
            Ok(answer) => assert_eq!((Code::Ok, &*answer.into_inner()), (code, &b"abc"[..]), "{rule}"),
            Err(status) => {
                assert_eq!(status.code(), code, "{rule}: {status:?}");
                assert!(status.message().starts_with(&format!("{word}: ")), "{rule}: {status:?}");
                let reached = scene.echo.seen.lock().unwrap().len() - before;
                assert_eq!(reached, usize::from(rule.to_string().contains("response")), "{rule}");
            }
        }
    }
}
