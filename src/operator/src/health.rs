//! Whether a restart would help: a watch that is silent, or work that doesn't go on.

use std::time::Duration;

use tokio::time::Instant;

use crate::context::Context;
use crate::engine::queue::Load;

/// What is wrong with this process, a line each; nothing when all is well.
pub fn faults(ctx: &Context, started: Instant) -> Vec<String> {
    let now = Instant::now();
    let watches = ctx.watches.all().iter().map(ToString::to_string).map(|watch| {
        let last = ctx.pulse.last(&watch).unwrap_or(started);
        (watch, last)
    });
    let load = ctx.leadership.leads().then(|| ctx.queue.load());
    judge(now, watches, load.as_ref(), ctx.settings.unhealthy_after)
}

fn judge(
    now: Instant,
    watches: impl Iterator<Item = (String, Instant)>,
    load: Option<&Load>,
    limit: Duration,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (watch, last) in watches {
        let silent = now.saturating_duration_since(last);
        if silent > limit {
            faults.push(format!("the watch of {watch} has been silent for {} s", silent.as_secs()));
        }
    }
    if let Some(waited) = load.and_then(|load| load.longest_due).filter(|waited| *waited > limit) {
        faults.push(format!("an object has waited {} s for a worker", waited.as_secs()));
    }
    if let Some(worked) = load.and_then(|load| load.longest_running).filter(|worked| *worked > limit) {
        faults.push(format!("a look at an object has taken {} s", worked.as_secs()));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_silent_or_stuck_is_told() {
        let start = Instant::now();
        tokio::time::advance(Duration::from_secs(1000)).await;
        let now = Instant::now();
        let ago = |seconds: u64| now - Duration::from_secs(seconds);
        let load = |due: u64, running: u64| Load {
            longest_due: Some(Duration::from_secs(due)),
            longest_running: Some(Duration::from_secs(running)),
            ..Load::default()
        };
        let rows = [
            (ago(10), Some(load(0, 0)), ""),
            (ago(600), Some(load(600, 600)), ""),
            (start, Some(load(0, 0)), "the watch of things has been silent for 1000 s"),
            (ago(10), Some(load(601, 0)), "an object has waited 601 s for a worker"),
            (ago(10), Some(load(0, 700)), "a look at an object has taken 700 s"),
            // A standby has no workers.
            (ago(10), None, ""),
        ];
        for (last, load, expected) in rows {
            let faults =
                judge(now, std::iter::once(("things".to_owned(), last)), load.as_ref(), Duration::from_secs(600));
            assert_eq!(faults.join("; "), expected);
        }
    }
}
