//! The gateway: what an upstream sees of what a client sends (SECURITY.md §4).
//!
//! Every test says both: what the client got and what the upstream got. The upstream is one of the test's own that
//! remembers every byte, so "nothing" and "exactly this" can be told apart from "something else". Tests named for a row
//! of SECURITY.md (`g01_…`) hold what that row promises.
//!
//! Left out on purpose: the same rules byte by byte (the wire guard's own tests), management and counting as such.

mod access_log;
mod addresses;
mod changes;
mod cors;
mod counting;
mod credentials;
mod formats;
mod framing;
mod grpc;
mod headers;
mod heads;
mod http2;
mod leaving;
mod limits;
mod messages;
mod methods;
mod metrics;
mod naughty;
mod open;
mod overload;
mod paths;
mod permissions;
mod proxies;
mod restrictions;
mod secrets;
mod sizes;
mod slowness;
mod stage;
mod streaming;
mod targets;
mod tls;
mod tls_upstream;
mod traces;
mod upgrades;
mod upstreams;
mod websocket;

use stage::Stage;
