//! How fast a bucket fills for us, from what ARM says is left.
//!
//! ARM tells a bucket's level and never its refill, and others may use the bucket too. Between two answers the level rises
//! by the refill and falls by everyone's requests; ours are counted, so what is left of the difference is the refill net of
//! what others take.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Answers older than this don't count, as long as there are [`FEWEST`] younger ones.
const WINDOW: Duration = Duration::from_secs(10);
/// A slow bucket has few answers in the window; these many are kept whatever their age.
const FEWEST: usize = 8;
/// Answers closer to each other than this say nothing more.
const APART: Duration = Duration::from_millis(50);
/// Over a shorter time, what isn't known exactly is louder than the refill.
const SHORTEST: Duration = Duration::from_secs(1);

/// One answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// When its request was sent.
    pub at: Instant,
    /// How many we had sent up to and with it.
    pub sent: u64,
    /// What ARM said was left after it.
    pub remaining: u64,
    /// How many of ours were under way when it was sent: ARM may have counted them before it or after.
    pub beside: u32,
}

/// The net refill of one bucket.
#[derive(Debug, Default)]
pub(super) struct Rate {
    samples: VecDeque<Sample>,
    per_second: Option<f64>,
}

impl Rate {
    /// Tokens a second, as far as that is known.
    pub fn per_second(&self) -> Option<f64> {
        self.per_second
    }

    /// Learns from an answer: what was believed stands as long as the answers allow it. A bucket that was full has lost
    /// what would have come, so then they allow more.
    pub fn learn(&mut self, sample: Sample, believed: f64, was_full: bool) {
        if self.samples.back().is_some_and(|last| sample.at < last.at + APART) {
            return;
        }
        self.samples.push_back(sample);
        while self.samples.len() > FEWEST && self.samples.front().is_some_and(|first| first.at + WINDOW < sample.at) {
            self.samples.pop_front();
        }
        let Some(first) = self.samples.front() else { return };
        let span = sample.at.saturating_duration_since(first.at);
        if span >= SHORTEST {
            let sent = sample.sent.saturating_sub(first.sent) as f64;
            let risen = sample.remaining as f64 - first.remaining as f64 + sent;
            // Levels are told as whole numbers.
            let (more, less) = (1.0 + f64::from(first.beside), 1.0 + f64::from(sample.beside));
            let (least, most) = ((risen - less) / span.as_secs_f64(), (risen + more) / span.as_secs_f64());
            self.per_second = Some(if was_full { believed.max(least) } else { believed.min(most).max(least) });
        }
        if was_full {
            // What comes from now on isn't lost.
            self.samples.clear();
            self.samples.push_back(sample);
        }
    }

    /// Begins anew with a guess, after ARM has refused.
    pub fn guess(&mut self, per_second: f64) {
        self.samples.clear();
        self.per_second = Some(per_second);
    }
}
