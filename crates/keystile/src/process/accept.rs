//! Takes connections in, no more than are allowed at once, in all and from one address (SECURITY.md G-16).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use keystile_server::gateway::Ending;
use keystile_server::telemetry::metrics::{Kind, Registry, Samples};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// How long to wait when the system has no file descriptor left.
const BREATH: Duration = Duration::from_millis(50);

/// Who is in.
pub struct Admission {
    most: usize,
    most_per_address: u32,
    inside: Mutex<Inside>,
    left: Notify,
}

#[derive(Default)]
struct Inside {
    count: usize,
    /// Ever since the start.
    admitted: u64,
    turned_away: u64,
    by_address: HashMap<IpAddr, u32>,
}

/// The right to be in; gives it back when dropped.
pub struct Permit {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    /// At most so many at once.
    pub fn new(most: u32, most_per_address: u32) -> Self {
        Self { most: most as usize, most_per_address, inside: Mutex::default(), left: Notify::new() }
    }

    fn is_full(&self) -> bool {
        self.inside.lock().count >= self.most
    }

    /// Lets one in, unless its address has enough in.
    fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let mut inside = self.inside.lock();
        let inside = &mut *inside;
        let own = inside.by_address.entry(address).or_default();
        if *own >= self.most_per_address {
            inside.turned_away += 1;
            return None;
        }
        *own += 1;
        inside.count += 1;
        inside.admitted += 1;
        Some(Permit { admission: self.clone(), address })
    }

    /// Declares the connections of these doors, each with its name.
    pub fn declare(doors: [(&'static str, Arc<Self>); 2], registry: &Registry) {
        let of = |read: fn(&Inside) -> u64| {
            let doors = doors.clone();
            move |samples: &mut Samples<'_>| {
                for (name, door) in &doors {
                    samples.put(&[("door", name)], read(&door.inside.lock()));
                }
            }
        };
        registry.family(
            Kind::Gauge,
            "keystile_open_connections",
            "Connections that are open.",
            of(|inside| inside.count as u64),
        );
        registry.family(
            Kind::Counter,
            "keystile_connections_total",
            "Connections that were let in.",
            of(|inside| inside.admitted),
        );
        registry.family(
            Kind::Counter,
            "keystile_connections_turned_away_total",
            "Connections that were closed at once because their address had enough.",
            of(|inside| inside.turned_away),
        );
    }

    async fn until(&self, done: impl Fn(&Self) -> bool) {
        loop {
            let left = self.left.notified();
            if done(self) {
                return;
            }
            left.await;
        }
    }

    /// Waits until nobody is in.
    pub async fn until_empty(&self) {
        self.until(|admission| admission.inside.lock().count == 0).await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inside = self.admission.inside.lock();
        inside.count -= 1;
        if let Some(own) = inside.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                inside.by_address.remove(&self.address);
            }
        }
        drop(inside);
        self.admission.left.notify_waiters();
    }
}

/// Ready when a door is shut; never, if nobody can shut it.
async fn shut(mut is_open: watch::Receiver<bool>) {
    if is_open.wait_for(|is_open| !is_open).await.is_err() {
        std::future::pending().await
    }
}

/// Accepts until the process ends or leaves its place to another one, and while the door is open. What is too much for one address is closed at once; when all places are taken,
/// further connections wait in the system's queue.
pub async fn accept(
    listener: TcpListener,
    admission: Arc<Admission>,
    mut is_open: watch::Receiver<bool>,
    ending: Ending,
    carry: impl Fn(TcpStream, SocketAddr, Permit),
) {
    let mut left = ending.left();
    loop {
        // Only one who can shut the door is gone with it: as it was is how it stays.
        let _ = is_open.wait_for(|is_open| *is_open).await;
        let accepted = tokio::select! {
            accepted = async {
                admission.until(|admission| !admission.is_full()).await;
                listener.accept().await
            } => accepted,
            () = shut(is_open.clone()) => continue,
            () = &mut left => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                if let Some(permit) = admission.admit(peer.ip().to_canonical()) {
                    carry(stream, peer, permit);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g16_one_address_can_not_take_all_places() {
        let admission = Arc::new(Admission::new(10, 2));
        let (greedy, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let permits: Vec<_> = (0..3).map(|_| admission.admit(greedy)).collect();
        assert_eq!(permits.iter().flatten().count(), 2);
        assert!(admission.admit(other).is_some());
        drop(permits);
        assert!(admission.admit(greedy).is_some(), "places are given back");
        assert!(admission.inside.lock().by_address.is_empty(), "nothing is kept of who left");
    }
}
