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
}
