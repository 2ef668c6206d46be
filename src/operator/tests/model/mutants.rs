//! Broken variants of the operator, each of which the model has to find out.

/// How the operator is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// It isn't.
    None,
    /// It doesn't wait for the consistency window.
    NoWindow,
    /// It writes to Azure without the intent on record.
    NoIntent,
    /// The first "not found" lets the finalizer go.
    ReleaseOnAbsent,
    /// Status and finalizers are written whatever the resourceVersion.
    NoConflicts,
    /// A write whose answer is lost counts as refused.
    UncertainIsRefused,
    /// It writes on what the list shows, without a read.
    NoFreshRead,
    /// It takes everything for its own.
    EverybodysIsOurs,
    /// It writes though it is paused or only observes.
    PausedOrNot,
    /// It takes every operation for one that goes on.
    OperationsNeverEnd,
    /// An edit that its own status write went over is no news to it.
    EditsSwallowed,
    /// Where list and read contradict each other, it looks again only when something else changes.
    ContradictionsRest,
    /// Its watch wakes nobody.
    WatchWakesNobody,
    /// A changed list wakes nobody.
    ListWakesNobody,
}
