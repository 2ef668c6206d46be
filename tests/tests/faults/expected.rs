//! What the fault table expects: from what a failure is, never cell by cell.

use std::time::Duration;

use super::rows::{Effect, Extent, Fault, Felt, On};
use super::steps::{Family, Step, Wish};

/// The operator's settings that bound its tries.
pub const RETRY_BASE: Duration = Duration::from_secs(1);
pub const RETRY_LONGEST: Duration = Duration::from_secs(24);
pub const FASTEST_POLL: Duration = Duration::from_secs(1);
pub const WINDOW: Duration = Duration::from_secs(3);

/// Cells that aren't tried, and why.
pub fn excluded(fault: &Fault, step: Step) -> Option<&'static str> {
    let family = step.family();
    match (fault.on, family) {
        (On::Entra, Family::Token) | (On::Both, _) => {}
        (On::Entra, _) => return Some("only Entra says so"),
        (_, Family::Token) => return Some("Entra doesn't speak ARM"),
        (On::Writes, family) if family != Family::Write => return Some("it is something that becomes of a write"),
        (On::Lists, _) if !step.is_list() => return Some("only a list has another page"),
        (On::Big, _) if !matches!(step, Step::FirstList | Step::ListAtRest | Step::ReadBeforeCreate) => {
            return Some("40 MB a try: three places tell enough");
        }
        _ => {}
    }
    let one_each = [Step::ListAtRest, Step::ReadBeforePatch, Step::Create, Step::Patch, Step::Delete, Step::ReadGone];
    if fault.extent == Extent::Variant && !one_each.contains(&step) {
        return Some("another row is felt the same");
    }
    let reads_it = matches!(family, Family::Before) || matches!(step, Step::ReadGone | Step::WorkspaceGone);
    if fault.felt == Felt::Missing && reads_it {
        return Some("that is how Azure says that it is gone, and is believed");
    }
    if fault.felt == Felt::Kept && step != Step::Patch {
        return Some("that field has no older value, or doesn't change");
    }
    if fault.name == "truncated" && step == Step::Delete {
        return Some("an empty answer can't be cut");
    }
    if fault.felt == Felt::Missing && step == Step::Delete {
        return Some("a deletion of what is gone has nothing to do");
    }
    None
}

/// What is seen of an object while a fault lasts.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// Nothing of it.
    Nothing,
    /// Ready isn't True, for this reason, and the other condition says so, too.
    Told { reason: &'static str, beside: &'static str },
    /// What is known is old.
    Stale,
    /// All is well, but for what Azure keeps.
    Kept,
}

/// The table: a failure of that kind at a step of that family.
pub fn shown(fault: &Fault, step: Step) -> Shown {
    let deleting = step.wish() == Wish::Delete;
    if step.family() == Family::Detail {
        return detail(fault);
    }
    let blocked = |reason| Shown::Told { reason, beside: "Reconciling" };
    let stalled = |reason| Shown::Told { reason, beside: "Stalled" };
    match (step.family(), fault.felt) {
        (_, Felt::Slow) | (Family::Hint, _) => Shown::Nothing,
        (_, Felt::Kept) => Shown::Kept,
        (_, Felt::Endless) => blocked(match step.wish() {
            Wish::Create => "Creating",
            Wish::Delete => "Deleting",
            _ => "Updating",
        }),
        // Writes.
        (Family::Write, Felt::Unclear) => blocked("Verifying"),
        (Family::Write, Felt::Stranger) => blocked("AzureUnavailable"),
        // A deletion's answer has no body that could be looked at.
        (Family::Write, Felt::Lost) if step == Step::Delete => blocked("OperationFailed"),
        (Family::Write, Felt::Lost) => blocked("Verifying"),
        (Family::Write, Felt::Failed) => blocked("ProvisioningFailed"),
        (Family::Write, Felt::Throttled(_)) => blocked("Throttled"),
        (Family::Write, Felt::Conflict) => blocked("WaitingForAzure"),
        (Family::Write, Felt::Manifest(reason)) => stalled(reason),
        // Reads: a refusal is told as such.
        (_, Felt::Waiting("OperationFailed")) if !matches!(step.family(), Family::Write) => {
            unseen(step, fault, deleting)
        }
        (_, Felt::Waiting(reason) | Felt::Credential(reason) | Felt::Manifest(reason)) => blocked(reason),
        (Family::Proof, Felt::Missing) => Shown::Nothing,
        (_, Felt::Missing) => blocked("WorkspaceMissingInAzure"),
        // Anything else is Azure being away.
        _ => unseen(step, fault, deleting),
    }
}

/// The operation's URL says how it ended: what is refused there is the operation's end, unless it is only hidden.
fn detail(fault: &Fault) -> Shown {
    let told = |reason, beside| Shown::Told { reason, beside };
    match (fault.fault["status"].as_u64(), fault.felt) {
        (Some(403 | 404), _) | (_, Felt::Lost | Felt::Slow) => Shown::Nothing,
        (_, Felt::Manifest(reason)) => told(reason, "Stalled"),
        (_, Felt::Waiting("OperationFailed")) => told("ProvisioningFailed", "Reconciling"),
        (_, Felt::Waiting(reason) | Felt::Credential(reason)) => told(reason, "Reconciling"),
        (_, Felt::Conflict) => told("WaitingForAzure", "Reconciling"),
        // It is waited for as before.
        _ => told("Updating", "Reconciling"),
    }
}

/// Azure isn't seen just now.
fn unseen(step: Step, fault: &Fault, deleting: bool) -> Shown {
    let before = match fault.felt {
        Felt::Throttled(_) => "Throttled",
        Felt::Conflict => "WaitingForAzure",
        Felt::Waiting(reason) => reason,
        _ => "AzureUnavailable",
    };
    match step.family() {
        // Somebody waits for a write: why it doesn't come is said.
        Family::Before => Shown::Told { reason: before, beside: "Reconciling" },
        Family::Proof if deleting => Shown::Told { reason: "Deleting", beside: "Reconciling" },
        _ => Shown::Stale,
    }
}

/// The shortest time between two tries, the n-th (from 1) and the next: the retry policy's.
pub fn least_wait(fault: &Fault, step: Step, n: usize) -> Duration {
    let doubled = |first: Duration, longest: Duration| {
        first.saturating_mul(2_u32.saturating_pow(u32::try_from(n - 1).unwrap().min(16))).min(longest)
    };
    let transient = doubled(RETRY_BASE / 15, RETRY_LONGEST / 12);
    let asked = match fault.felt {
        Felt::Throttled(least) => Duration::from_secs_f64(least),
        _ if fault.name == "unavailable-for" => Duration::from_secs(3),
        _ => Duration::ZERO,
    };
    match (step.family(), fault.felt) {
        (Family::Write, Felt::Unclear | Felt::Lost) => WINDOW - Duration::from_secs(1),
        (Family::Write | Family::Before, Felt::Waiting("OperationFailed")) => transient,
        (Family::Write | Family::Before, Felt::Manifest(_)) => doubled(RETRY_BASE * 4, RETRY_LONGEST),
        (Family::Write | Family::Before, Felt::Waiting(_) | Felt::Missing) => doubled(RETRY_BASE, RETRY_LONGEST / 4),
        (Family::Write | Family::Before, Felt::Credential(_)) => doubled(RETRY_BASE, RETRY_LONGEST / 12),
        (Family::Write | Family::Before, _) => transient.max(asked),
        (Family::Hint, _) => Duration::from_secs(60),
        // Lists have a pace of their own; what is read after them goes by them.
        _ => Duration::ZERO,
    }
}

/// Most tries of a list in that time: its pace is the operator's, and when a try arrives is the machine's.
pub fn most_lists(lasted: Duration) -> usize {
    let paced = lasted.as_millis() / (FASTEST_POLL / 2).as_millis();
    usize::try_from(paced).unwrap() + 4
}

/// Most tries of what is read after a list while so many lists were read.
pub fn most_after_lists(step: Step, lists: usize) -> Option<usize> {
    match step.family() {
        Family::Look if !step.is_list() => Some(lists + 2),
        Family::Proof | Family::Detail if !step.is_list() => Some(2 * lists + 3),
        _ => None,
    }
}

/// The writes to the cluster that take effect, from its creation to the step's end.
pub fn writes(fault: &Fault, step: Step) -> Vec<&'static str> {
    let fails = fault.felt == Felt::Failed;
    let again = fails || fault.felt == Felt::Kept;
    match step.wish() {
        Wish::Nothing => vec!["PUT"],
        // With its workspace it is gone already.
        Wish::Delete if step == Step::Subscription => vec!["PUT"],
        // What somebody took away is made anew.
        Wish::Create if fault.felt == Felt::Endless => vec!["PUT", "PUT"],
        Wish::Patch if fault.felt == Felt::Endless => vec!["PUT", "PATCH", "PUT"],
        Wish::Put if fault.felt == Felt::Endless => vec!["PUT", "PUT", "PUT"],
        // What failed is made anew.
        Wish::Create if fails => vec!["PUT", "DELETE", "PUT"],
        Wish::Create => vec!["PUT"],
        Wish::Patch if again => vec!["PUT", "PATCH", "PATCH"],
        Wish::Patch => vec!["PUT", "PATCH"],
        Wish::Put if fails => vec!["PUT", "PUT", "PUT"],
        Wish::Put => vec!["PUT", "PUT"],
        Wish::Delete if fails => vec!["PUT", "DELETE", "DELETE"],
        Wish::Delete => vec!["PUT", "DELETE"],
    }
}

/// Whether a person has to correct the manifest.
pub fn needs_correction(fault: &Fault, step: Step) -> bool {
    step.family() == Family::Write && step != Step::Delete && matches!(fault.felt, Felt::Manifest(_) | Felt::Kept)
}

/// Most requests to the cluster's own path while so many tries failed: each try is a read and a write, and before and
/// after them it is looked at a few times.
pub fn most_requests(tries: usize) -> usize {
    2 * tries + 8
}

/// How often the fault strikes before it ends.
pub fn strikes(fault: &Fault, step: Step) -> usize {
    match step.family() {
        Family::Hint => 1,
        Family::Detail => 1,
        // A write that is done isn't done again.
        Family::Write if fault.effect == Effect::Done => 1,
        _ if matches!(fault.felt, Felt::Slow) => 1,
        _ => fault.strikes,
    }
}
