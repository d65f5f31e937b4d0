//! Resources that clients share, such as connections or memory for bodies. They are limited in
//! total and per peer, so that no client can take all.

use std::{
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{extract::FromRequestParts, http::request::Parts};
use tokio::{sync::Notify, time};

/// The other end of a connection. A client may own all addresses of an IPv6 /64 network, so such a
/// network is one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer(IpAddr);

/// An amount of a resource, limited in total and per peer.
#[derive(Debug)]
pub(crate) struct Shares {
    total: u64,
    per_peer: u64,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    total: u64,
    by_peer: HashMap<Peer, u64>,
}

/// The part that a peer holds. It is returned when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<Shares>,
    peer: Peer,
    amount: u64,
}

impl Peer {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    /// The peer of the connection. Calls without a connection share one peer.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get().copied();
        Ok(peer.unwrap_or_else(|| Self::of(Ipv6Addr::UNSPECIFIED.into())))
    }
}

impl Shares {
    /// `total` for all peers and `per_peer` for each; `None`: three quarters of the total.
    pub(crate) fn new(total: u64, per_peer: Option<u64>) -> Arc<Self> {
        let per_peer = per_peer.unwrap_or_else(|| (total / 4 * 3).max(1));
        Arc::new(Self { total, per_peer, taken: Mutex::default(), freed: Notify::new() })
    }

    /// An empty share, which may grow.
    pub(crate) fn none(self: &Arc<Self>, peer: Peer) -> Share {
        Share { shares: Arc::clone(self), peer, amount: 0 }
    }

    /// A share of one unit; `None` if nothing is left for `peer`.
    pub(crate) fn one(self: &Arc<Self>, peer: Peer) -> Option<Share> {
        let mut share = self.none(peer);
        share.try_grow(1).then_some(share)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Adds `more` units to the share. False if they are not available.
    pub(crate) fn try_grow(&mut self, more: u64) -> bool {
        if more == 0 {
            return true;
        }
        let Shares { total, per_peer, .. } = *self.shares;
        let mut taken = self.shares.taken();
        let of_peer = taken.by_peer.get(&self.peer).copied().unwrap_or_default();
        if more > total.saturating_sub(taken.total) || more > per_peer.saturating_sub(of_peer) {
            return false;
        }
        taken.total += more;
        taken.by_peer.insert(self.peer, of_peer + more);
        drop(taken);
        self.amount += more;
        true
    }

    /// Like [`Share::try_grow`], but waits up to `wait` for the units.
    pub(crate) async fn grow(&mut self, more: u64, wait: Duration) -> bool {
        if self.try_grow(more) {
            return true;
        }
        let shares = Arc::clone(&self.shares);
        let growing = async {
            loop {
                // Created before the attempt, so that no release in between is missed.
                let mut freed = std::pin::pin!(shares.freed.notified());
                freed.as_mut().enable();
                if self.try_grow(more) {
                    return;
                }
                freed.await;
            }
        };
        time::timeout(wait, growing).await.is_ok()
    }

    /// Returns all units.
    pub(crate) fn release(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut taken = self.shares.taken();
        taken.total -= self.amount;
        if let Entry::Occupied(mut of_peer) = taken.by_peer.entry(self.peer) {
            *of_peer.get_mut() -= self.amount;
            if *of_peer.get() == 0 {
                of_peer.remove();
            }
        }
        drop(taken);
        self.amount = 0;
        self.shares.freed.notify_waiters();
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::of(text.parse().unwrap())
    }

    #[test]
    fn an_ipv6_network_is_one_peer() {
        assert_eq!(peer("2001:db8::1:2:3:4"), peer("2001:db8::5:6:7:8"));
        assert_ne!(peer("2001:db8:0:1::1"), peer("2001:db8:0:2::1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
    }

    #[tokio::test(start_paused = true)]
    async fn one_peer_leaves_room_for_others_and_what_is_freed_is_given_to_who_waits() {
        let wait = Duration::from_secs(2);
        let shares = Shares::new(8, None);
        let mut first = shares.none(peer("192.0.2.1"));
        assert!(first.try_grow(6));
        assert!(!first.grow(1, wait).await, "three quarters are its share");
        let mut second = shares.none(peer("192.0.2.2"));
        assert!(second.try_grow(2));
        assert!(!second.try_grow(1), "there is no more");
        let waiting = tokio::spawn(async move { second.grow(6, wait).await });
        tokio::task::yield_now().await;
        drop(first);
        assert!(!waiting.await.unwrap(), "its share is six");
        assert!(shares.taken().by_peer.is_empty());

        let held = shares.one(peer("192.0.2.1")).unwrap();
        let mut third = shares.none(peer("192.0.2.3"));
        assert!(third.try_grow(1));
        let mut fourth = shares.none(peer("192.0.2.4"));
        assert!(!fourth.try_grow(7));
        let mut fourth = shares.none(peer("192.0.2.4"));
        assert!(fourth.try_grow(6));
        let waiting = tokio::spawn(async move { third.grow(1, wait).await });
        tokio::task::yield_now().await;
        drop(held);
        assert!(waiting.await.unwrap());
    }
}
