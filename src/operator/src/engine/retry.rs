//! When something that failed is tried again: ever later, at once when the plan changes, never "never".

use std::time::Duration;

use azureml_arm::ErrorClass;
use tokio::time::Instant;

use crate::failure::Problem;

/// The waits between tries.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// First wait for what needs somebody else to act (quota, a lock, a credential).
    pub base: Duration,
    /// Longest wait.
    pub longest: Duration,
}

/// What failed, how often, and when it may be tried again.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The plan that failed.
    pub hash: String,
    /// The generation of the manifest that failed.
    pub generation: i64,
    /// How often in a row.
    pub count: u32,
    /// When it may be tried again.
    pub until: Instant,
    /// How it is told.
    pub problem: Problem,
}

/// A failure of a plan.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The plan.
    pub hash: String,
    /// The generation of the manifest.
    pub generation: i64,
    /// Who can mend it.
    pub class: ErrorClass,
    /// The wait that Azure asks for.
    pub asked: Option<Duration>,
    /// How it is told.
    pub problem: Problem,
}

/// What Azure says of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It shows none.
    Not,
    /// The one that it showed before, or one from before this process began.
    Still,
    /// One that this look is the first to see: a try has ended.
    Again,
}

/// When a plan may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing is in its way.
    Now,
    /// Now, although Azure still shows the failure of what the manifest said before: see [`Attempt::forgiven`].
    AtOnceForTheEdit,
    /// When the wait that is on record is over.
    AfterTheLast,
    /// After the wait for the failure that is shown, which is to be put on record.
    AfterThisOne,
}

/// When a plan of this hash and generation may be tried, after what is on record.
pub fn due(known: Option<&Attempt>, hash: &str, generation: i64, shown: Shown) -> Due {
    match (known, shown) {
        (_, Shown::Again) => Due::AfterThisOne,
        (Some(attempt), _) if attempt.hash == hash => Due::AfterTheLast,
        (_, Shown::Not) => Due::Now,
        (Some(attempt), Shown::Still) if attempt.generation != generation => Due::AtOnceForTheEdit,
        // The first try after it waits like any other. After our own restart too.
        (_, Shown::Still) => Due::AfterThisOne,
    }
}

impl Attempt {
    /// What is on record once an edit has made another plan of it. The failures of before no longer count, and those of
    /// the new plan do: without a record of its own it would never wait.
    pub fn forgiven(self, hash: String, generation: i64, now: Instant) -> Self {
        Self { hash, generation, count: 0, until: now, ..self }
    }
}

impl RetryPolicy {
    /// The wait after the n-th failure in a row (from 1), and Azure's own wish where it has one.
    pub fn wait(&self, class: ErrorClass, count: u32, asked: Option<Duration>) -> Duration {
        let first = match class {
            ErrorClass::Transient => self.base / 15,
            ErrorClass::Waiting | ErrorClass::Credential => self.base,
            ErrorClass::Manifest => self.base * 4,
        };
        let longest = match class {
            ErrorClass::Transient | ErrorClass::Credential => self.longest / 12,
            ErrorClass::Waiting => self.longest / 4,
            ErrorClass::Manifest => self.longest,
        };
        let wait = first.saturating_mul(2_u32.saturating_pow(count.saturating_sub(1).min(16)));
        wait.min(longest).max(asked.unwrap_or_default())
    }

    /// Records a failure of a plan.
    pub fn record(&self, previous: Option<&Attempt>, failed: Failed, now: Instant) -> Attempt {
        let Failed { hash, generation, class, asked, problem } = failed;
        // A failed creation is told once as a failed write and once as a failed resource: the generation ties them.
        let count = previous.filter(|attempt| attempt.generation == generation).map_or(1, |attempt| attempt.count + 1);
        Attempt { hash, generation, count, until: now + self.wait(class, count, asked), problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound() {
        let policy = RetryPolicy { base: Duration::from_secs(30), longest: Duration::from_secs(3600) };
        let seconds = |class, count, asked: u64| policy.wait(class, count, Some(Duration::from_secs(asked))).as_secs();
        let rows = [
            (ErrorClass::Transient, 1, 0, 2),
            (ErrorClass::Transient, 3, 0, 8),
            (ErrorClass::Transient, 40, 0, 300),
            (ErrorClass::Transient, 1, 17, 17),
            (ErrorClass::Waiting, 1, 0, 30),
            (ErrorClass::Waiting, 9, 0, 900),
            (ErrorClass::Manifest, 1, 0, 120),
            (ErrorClass::Manifest, 99, 0, 3600),
        ];
        for (class, count, asked, expected) in rows {
            assert_eq!(seconds(class, count, asked), expected, "{class:?} {count}");
        }
    }

    #[test]
    fn a_plan_is_due_by_what_is_on_record_and_what_azure_shows() {
        let rows = [
            // What is on record is of: this plan, this generation; what is shown; when it is due.
            (None, Shown::Not, Due::Now),
            (None, Shown::Still, Due::AfterThisOne),
            (None, Shown::Again, Due::AfterThisOne),
            (Some(("plan", 2)), Shown::Not, Due::AfterTheLast),
            (Some(("plan", 2)), Shown::Still, Due::AfterTheLast),
            (Some(("plan", 2)), Shown::Again, Due::AfterThisOne),
            (Some(("plan", 1)), Shown::Still, Due::AfterTheLast),
            (Some(("other", 2)), Shown::Not, Due::Now),
            (Some(("other", 2)), Shown::Still, Due::AfterThisOne),
            (Some(("other", 1)), Shown::Not, Due::Now),
            (Some(("other", 1)), Shown::Still, Due::AtOnceForTheEdit),
            (Some(("other", 1)), Shown::Again, Due::AfterThisOne),
        ];
        for (known, shown, expected) in rows {
            let known = known.map(|(hash, generation)| attempt(hash, generation));
            assert_eq!(due(known.as_ref(), "plan", 2, shown), expected, "{known:?} {shown:?}");
        }
    }

    /// A write that Azure takes and fails with later, over and over, with an edit between: after the edit it is tried at
    /// once, one time, though the turn for it comes only at the second look.
    #[test]
    fn failures_that_come_late_are_waited_out_before_and_after_an_edit() {
        let policy = RetryPolicy { base: Duration::from_secs(30), longest: Duration::from_secs(3600) };
        let mut now = Instant::now();
        let mut known: Option<Attempt> = None;
        let mut shown = Shown::Not;
        let mut waits = Vec::new();
        for (generation, plan) in
            [(1, "first"), (1, "first"), (1, "first"), (2, "second"), (2, "second"), (2, "second")]
        {
            let mut waited = Duration::ZERO;
            let mut turns = 0;
            // Looks, until a write is sent.
            while turns < 2 {
                match due(known.as_ref(), plan, generation, shown) {
                    Due::Now => turns += 1,
                    Due::AtOnceForTheEdit => {
                        known = known.map(|it| it.forgiven(plan.to_owned(), generation, now));
                        turns += 1;
                    }
                    Due::AfterTheLast => {
                        let left = known.as_ref().unwrap().until.saturating_duration_since(now);
                        waited += left;
                        now += left;
                        turns += u32::from(left.is_zero());
                    }
                    Due::AfterThisOne => {
                        let problem = attempt("", 0).problem;
                        let class = ErrorClass::Manifest;
                        let failed = Failed { hash: plan.to_owned(), generation, class, asked: None, problem };
                        known = Some(policy.record(known.as_ref(), failed, now));
                        shown = Shown::Still;
                    }
                }
            }
            waits.push(waited.as_secs());
            shown = Shown::Again;
            if generation == 1 && waits.len() == 3 {
                // This one's failure is seen before the edit.
                let problem = attempt("", 0).problem;
                let class = ErrorClass::Manifest;
                let failed = Failed { hash: plan.to_owned(), generation, class, asked: None, problem };
                known = Some(policy.record(known.as_ref(), failed, now));
                shown = Shown::Still;
            }
        }
        assert_eq!(waits, [0, 120, 240, 0, 120, 240]);
    }

    fn attempt(hash: &str, generation: i64) -> Attempt {
        let problem = Problem::blocked(azureml_api::condition::Reason::Throttled, "refused");
        Attempt { hash: hash.to_owned(), generation, count: 1, until: Instant::now(), problem }
    }
}
