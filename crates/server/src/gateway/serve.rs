//! Joins a connection to a worker: guard, HTTP engine, handler. Everything of one connection stays on one core.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use axum::Router;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tower::ServiceExt;

use super::caller::{Caller, Protocol};
use super::ending::Ending;
use super::handler::Worker;
use super::http2;
use super::wire::{self, Exchange, Patience};
use crate::manage::{Encrypted, PeerAddress};
use crate::problem::Problem;
use crate::verify::{self, AskedBy};

/// Serves a connection of the gateway until it ends, or until `ending` says that the process ends: then the call that
/// is being answered is finished and no other one begins. When another process takes over, one more call is answered.
pub async fn gateway<S>(stream: S, caller: Caller, worker: Rc<Worker>, patience: Patience, ending: Ending)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let caller = Rc::new(caller);
    let speaks = caller.speaks;
    let answer = |exchange: Exchange, request| {
        let (worker, caller) = (worker.clone(), caller.clone());
        async move { worker.call(&caller, request, exchange).await }
    };
    match speaks {
        Protocol::Http1 => {
            let left = serve(stream, patience, ending.clone(), answer, || caller.tunnel.is_taken()).await;
            if let (Some((stream, early)), Some(tunnel)) = (left, caller.tunnel.take()) {
                Box::pin(tunnel.run(stream, early, patience.write, ending)).await;
            }
        }
        // Boxed: it is large, and the others are many.
        Protocol::Http2 => Box::pin(http2::serve(stream, patience, ending, answer)).await,
    }
}

/// Serves a connection of the check listener.
pub async fn check<S>(
    stream: S,
    peer: IpAddr,
    worker: Rc<Worker>,
    asked_by: AskedBy,
    patience: Patience,
    ending: Ending,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answer = |exchange: Exchange, request| {
        let worker = worker.clone();
        async move { verify::call(&worker, asked_by, peer, request, exchange).await }
    };
    serve(stream, patience, ending, answer, || false).await;
}

/// Serves a connection of the management API.
pub async fn admin<S>(stream: S, (peer, encrypted): (IpAddr, bool), router: Router, patience: Patience, ending: Ending)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answer = |exchange: Exchange, mut request: Request<Incoming>| {
        let router = router.clone();
        request.extensions_mut().insert(PeerAddress(peer));
        if encrypted {
            request.extensions_mut().insert(Encrypted);
        }
        if let Some(refused) = exchange.refused() {
            request.extensions_mut().insert(Problem::of(refused.code).because(refused.detail));
        }
        async move { router.oneshot(request).await.unwrap_or_else(|never| match never {}) }
    };
    serve(stream, patience, ending, answer, || false).await;
}

/// Serves a connection as HTTP/1.1. If it has switched to another protocol in the end, it is given back with what was
/// read of that.
async fn serve<S, F, A, B>(
    stream: S,
    patience: Patience,
    ending: Ending,
    answer: F,
    has_switched: impl Fn() -> bool,
) -> Option<(S, Bytes)>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Exchange, Request<Incoming>) -> A,
    A: Future<Output = Response<B>>,
    B: hyper::body::Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (stream, exchanges) = wire::guard(stream, patience);
    let service = service_fn(|request| {
        // Begun here and not inside the future: the guard counts requests in the order in which they come.
        let answered = answer(exchanges.begin(), request);
        let ending = ending.clone();
        async move {
            let mut response = answered.await;
            // Not closed when it is idle: a request may be on its way. Its answer says that it was the last one.
            if ending.is_leaving() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder.max_buf_size(wire::MAX_HEAD_BYTES.next_multiple_of(8_192) * 2);
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut told = ending.wait();
    let ended = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => Pin::new(&mut told).poll(cx).map(|()| None),
    })
    .await;
    let outcome = match ended {
        Some(outcome) => outcome,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended early");
    }
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    if has_switched() {
        return Some(stream.into_inner(parts.read_buf));
    }
    // The engine does not always do this itself: not after an error. It waits a little for what the client still
    // sends, so that the answer is not lost in a reset.
    let _ = stream.shutdown().await;
    None
}
