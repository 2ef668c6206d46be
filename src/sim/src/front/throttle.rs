//! Token buckets for each principal in each subscription, and for the subscription as a whole. Real time only.

use super::refusal::{Outcome, Refusal};
use crate::world::{Bucket, Throttle};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// Which bucket a request draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Draw {
    /// GET, HEAD.
    Read,
    /// PUT, PATCH, POST.
    Write,
    /// DELETE.
    Delete,
}

impl Draw {
    /// By verb.
    pub fn of(method: &str) -> Self {
        match method {
            "GET" | "HEAD" => Self::Read,
            "DELETE" => Self::Delete,
            _ => Self::Write,
        }
    }

    /// As in the headers: `reads`, `writes`, `deletes`.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Read => "reads",
            Self::Write => "writes",
            Self::Delete => "deletes",
        }
    }

    fn bucket(self, sizes: &Throttle) -> Bucket {
        match self {
            Self::Read => sizes.reads,
            Self::Write => sizes.writes,
            Self::Delete => sizes.deletes,
        }
    }
}

#[derive(Clone, Debug)]
struct Level {
    tokens: f64,
    at: Timestamp,
    closed_until: Option<Timestamp>,
}

/// What is left after a request: the figures of the `x-ms-ratelimit-remaining-*` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Of the principal in the subscription.
    pub own: i64,
    /// Of the subscription.
    pub global: i64,
}

/// All buckets.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    levels: HashMap<(String, String, Draw), Level>,
}

impl Buckets {
    /// Take one token for `principal` in `scope` (a subscription's guid, or a tenant's), or refuse with `Retry-After`.
    ///
    /// # Errors
    /// 429. A request before the time of an earlier 429 gets a new, full wait, as ARM documents.
    pub fn take(
        &mut self,
        sizes: &Throttle,
        scope: &str,
        principal: &str,
        draw: Draw,
        now: Timestamp,
    ) -> Outcome<Remaining> {
        let own = draw.bucket(sizes);
        let all = Bucket { size: own.size * sizes.global_factor, per_second: own.per_second * sizes.global_factor };
        let own_left = self.draw(own, (scope.into(), principal.into(), draw), now).map_err(|wait| {
            limited("SubscriptionRequestsThrottled", scope, draw, own.size, wait, " for this principal")
        })?;
        let all_left = self
            .draw(all, (scope.into(), String::new(), draw), now)
            .map_err(|wait| limited("TooManyRequests", scope, draw, all.size, wait, ""))?;
        Ok(Remaining { own: own_left, global: all_left })
    }

    fn draw(&mut self, bucket: Bucket, key: (String, String, Draw), now: Timestamp) -> Result<i64, i64> {
        let level = self.levels.entry(key).or_insert(Level { tokens: bucket.size, at: now, closed_until: None });
        let elapsed = now.duration_since(level.at).as_secs_f64().max(0.0);
        level.tokens = (level.tokens + elapsed * bucket.per_second).min(bucket.size);
        level.at = now;
        let closed = level.closed_until.is_some_and(|until| now < until);
        if closed || level.tokens < 1.0 {
            let missing = (1.0 - level.tokens).max(0.0) / bucket.per_second.max(1e-9);
            let wait = (missing.ceil() as i64).max(1);
            level.closed_until = Some(crate::clock::later(now, SignedDuration::from_secs(wait)));
            return Err(wait);
        }
        level.closed_until = None;
        level.tokens -= 1.0;
        Ok(level.tokens.floor() as i64)
    }
}

fn limited(code: &str, scope: &str, draw: Draw, size: f64, wait: i64, whose: &str) -> Refusal {
    Refusal::arm(
        429,
        code,
        format!(
            "Number of '{}' for subscription '{scope}'{whose} exceeded the limit of '{size}'. Please try again after \
             '{wait}' seconds.",
            draw.plural()
        ),
    )
    .with("Retry-After", wait.to_string())
    .with(&format!("x-ms-ratelimit-remaining-subscription-{}", draw.plural()), "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> Throttle {
        Throttle { writes: Bucket { size: 3.0, per_second: 0.5 }, ..Throttle::default() }
    }

    #[test]
    fn a_bucket_empties_refills_and_stays_shut_to_the_hasty() {
        let mut buckets = Buckets::default();
        let t = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
        let mut take = |ms| buckets.take(&sizes(), "s", "p", Draw::Write, t(ms));
        assert_eq!(take(0).unwrap(), Remaining { own: 2, global: 44 });
        take(0).unwrap();
        take(0).unwrap();
        let refused = take(0).unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (429, "SubscriptionRequestsThrottled"));
        assert!(refused.headers.contains(&("Retry-After".into(), "2".into())));
        assert!(take(1900).is_err(), "too early");
        assert!(take(2500).is_err(), "the early retry moved the end");
        assert_eq!(take(5000).unwrap().own, 1);
    }

    #[test]
    fn principals_and_kinds_have_their_own() {
        let mut buckets = Buckets::default();
        let t = Timestamp::UNIX_EPOCH;
        for _ in 0..3 {
            buckets.take(&sizes(), "s", "p", Draw::Write, t).unwrap();
        }
        assert!(buckets.take(&sizes(), "s", "p", Draw::Write, t).is_err());
        for (principal, draw) in [("q", Draw::Write), ("p", Draw::Read), ("p", Draw::Delete)] {
            assert!(buckets.take(&sizes(), "s", principal, draw, t).is_ok());
        }
        assert_eq!(Draw::of("POST"), Draw::Write);
    }
}
