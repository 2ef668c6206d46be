//! The writes that came through, and those that are held.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::write::Write;

/// When a write is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the server gets it.
    Before,
    /// After the server has answered it, before the operator learns anything.
    After,
}

type Which = Box<dyn Fn(&Write) -> bool + Send + Sync>;
type Look = std::sync::Arc<dyn Fn(Write) -> BoxFuture<'static, Option<String>> + Send + Sync>;

/// A write that will be held, or is. Dropping it lets the connection break without an answer: a write that was held
/// before it was forwarded never is.
pub struct Hold {
    reached: oneshot::Receiver<Write>,
    pass: oneshot::Sender<()>,
}

impl Hold {
    /// Waits until the write is held, and tells which it is. To be asked once; never ends if it never comes.
    pub async fn reached(&mut self) -> Write {
        match (&mut self.reached).await {
            Ok(write) => write,
            Err(_) => std::future::pending().await,
        }
    }

    /// Lets the write go on, and doesn't hold it if it is still to come.
    pub fn pass(self) {
        // Nobody waits if the operator has gone meanwhile.
        let _ = self.pass.send(());
    }
}

/// The gate's side of a [`Hold`].
pub(super) struct Held {
    which: Which,
    left: usize,
    pub(super) moment: Moment,
    tell: oneshot::Sender<Write>,
    passed: oneshot::Receiver<()>,
}

impl Held {
    /// Tells that the write is held, and waits. Says whether it may go on.
    pub(super) async fn wait(self, write: Write) -> bool {
        // A hold that was dropped before can't be told, and lets nothing through.
        let _ = self.tell.send(write);
        self.passed.await.is_ok()
    }
}

/// All that the gate knows of writes.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    writes: Vec<Write>,
    held: Vec<Held>,
    inspectors: Vec<(Which, Look)>,
    objections: Vec<(usize, String)>,
}

impl Ledger {
    pub(super) fn hold(
        &self,
        nth: usize,
        moment: Moment,
        which: impl Fn(&Write) -> bool + Send + Sync + 'static,
    ) -> Hold {
        let (tell, reached) = oneshot::channel();
        let (pass, passed) = oneshot::channel();
        self.lock().held.push(Held { which: Box::new(which), left: nth, moment, tell, passed });
        Hold { reached, pass }
    }

    pub(super) fn inspect(
        &self,
        which: impl Fn(&Write) -> bool + Send + Sync + 'static,
        look: impl Fn(Write) -> BoxFuture<'static, Option<String>> + Send + Sync + 'static,
    ) {
        self.lock().inspectors.push((Box::new(which), std::sync::Arc::new(look)));
    }

    /// Numbers a write. Gives it with its number, and what holds it.
    pub(super) fn enter(&self, write: Write) -> (Write, Option<Held>) {
        let mut inner = self.lock();
        let write = Write { seq: inner.writes.len() + 1, ..write };
        inner.writes.push(write.clone());
        // A hold that its owner has given up holds nothing any more.
        inner.held.retain(|held| !held.tell.is_closed());
        for held in inner.held.iter_mut().filter(|held| (held.which)(&write)) {
            held.left = held.left.saturating_sub(1);
        }
        let at = inner.held.iter().position(|held| held.left == 0);
        (write, at.map(|at| inner.held.remove(at)))
    }

    /// Has a write looked at.
    pub(super) async fn look_at(&self, write: &Write) {
        let looks: Vec<Look> = {
            let inner = self.lock();
            let wanted = inner.inspectors.iter().filter(|(which, _)| which(write));
            wanted.map(|(_, look)| look.clone()).collect()
        };
        for look in looks {
            if let Some(objection) = look(write.clone()).await {
                self.lock().objections.push((write.seq, objection));
            }
        }
    }

    pub(super) fn answered(&self, seq: usize, status: u16) {
        if let Some(write) = self.lock().writes.get_mut(seq - 1) {
            write.status = Some(status);
        }
    }

    pub(super) fn writes(&self) -> Vec<Write> {
        self.lock().writes.clone()
    }

    pub(super) fn count(&self) -> usize {
        self.lock().writes.len()
    }

    pub(super) fn objections(&self) -> Vec<String> {
        let inner = self.lock();
        let done =
            |seq: usize| inner.writes.get(seq - 1).filter(|write| write.status.is_some_and(|status| status < 300));
        let told = inner.objections.iter().filter_map(|(seq, why)| Some(format!("{}: {why}", done(*seq)?)));
        told.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::write::Side;
    use super::*;

    fn write(name: &str) -> Write {
        let text = |text: &str| text.to_string();
        let (namespace, plural) = (text("ml"), text("computeclusters"));
        let (method, path) = (text("PUT"), text("/"));
        let (seq, body, status) = (0, Value::Null, None);
        Write { seq, side: Side::Kubernetes, method, path, plural, namespace, name: text(name), body, status }
    }

    #[tokio::test]
    async fn the_nth_that_is_meant_is_held_until_it_may_pass() {
        let ledger = Ledger::default();
        let mut hold = ledger.hold(2, Moment::After, |write| write.is_about("a"));
        for name in ["b", "a", "b"] {
            assert!(ledger.enter(write(name)).1.is_none(), "{name}");
        }
        let (entered, held) = ledger.enter(write("a"));
        let waiting = tokio::spawn(held.unwrap().wait(entered));
        assert_eq!(hold.reached().await.seq, 4);
        hold.pass();
        assert!(waiting.await.unwrap());
        assert!(ledger.enter(write("a")).1.is_none(), "only the n-th");
    }

    #[tokio::test]
    async fn a_dropped_hold_breaks_off_what_it_holds_and_nothing_else() {
        let ledger = Ledger::default();
        let mut hold = ledger.hold(1, Moment::Before, |_| true);
        let given_up = ledger.hold(2, Moment::Before, |_| true);
        let (entered, held) = ledger.enter(write("a"));
        let waiting = tokio::spawn(held.unwrap().wait(entered));
        hold.reached().await;
        drop((hold, given_up));
        assert!(!waiting.await.unwrap());
        assert!(ledger.enter(write("a")).1.is_none());
    }
}
