//! What an unadorned hyper server (`echo`) and an unadorned hyper reverse proxy (`proxy`) cost here.
//! One thread, no key check: the ratio of a Rust gateway's cost to this is its own doing.
use bytes::Bytes;
use http_body_util::{combinators::BoxBody, BodyExt, Full};
use hyper::{body::Incoming, service::service_fn, Request, Response};
use hyper_util::{
    client::legacy::{connect::HttpConnector, Client},
    rt::{TokioExecutor, TokioIo},
};
use std::net::SocketAddr;

type Out = Response<BoxBody<Bytes, hyper::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let a: Vec<String> = std::env::args().collect();
    if a.len() < 4 {
        eprintln!("usage: hyperref echo|proxy PORT UPSTREAM_PORT");
        std::process::exit(2);
    }
    let (echo, port, up): (bool, u16, u16) = (a[1] == "echo", a[2].parse().unwrap(), a[3].parse().unwrap());
    let mut conn = HttpConnector::new();
    conn.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1024).build(conn);
    let body = Bytes::from("x".repeat(256));
    let l = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
    loop {
        let Ok((s, _)) = l.accept().await else { continue };
        let _ = s.set_nodelay(true);
        let (client, body) = (client.clone(), body.clone());
        tokio::spawn(async move {
            let svc = service_fn(move |mut req: Request<Incoming>| {
                let (client, body) = (client.clone(), body.clone());
                async move {
                    if echo {
                        let b = Full::new(body).map_err(|e| match e {}).boxed();
                        return Ok::<Out, hyper_util::client::legacy::Error>(Response::new(b));
                    }
                    let path = req.uri().path_and_query().map_or("/", |p| p.as_str());
                    *req.uri_mut() = format!("http://127.0.0.1:{up}{path}").parse().unwrap();
                    let r = client.request(req).await?;
                    Ok(r.map(|b| b.boxed()))
                }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(s), svc).await;
        });
    }
}
