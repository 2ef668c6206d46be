//! Two times at once: the real one, which tokens and throttling live by, and the virtual one, which resources live by.

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, tz::TimeZone};

/// One instant on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Wall-clock time of this process.
    pub real: Timestamp,
    /// Time in the simulated world: start + elapsed real time × scale + what was skipped by hand.
    pub virt: Timestamp,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    System,
    Manual(Timestamp),
}

/// Where both times come from.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    scale: f64,
    real_zero: Timestamp,
    virt_zero: Timestamp,
    skipped: SignedDuration,
}

impl Clock {
    /// A clock that follows the machine's, `scale` virtual seconds to a real one (scale > 0).
    pub fn system(scale: f64) -> Self {
        let zero = Timestamp::now();
        Self { source: Source::System, scale, real_zero: zero, virt_zero: zero, skipped: SignedDuration::ZERO }
    }

    /// A clock that stands still until [`Clock::step`] moves it.
    pub fn manual(start: Timestamp, scale: f64) -> Self {
        Self { source: Source::Manual(start), scale, real_zero: start, virt_zero: start, skipped: SignedDuration::ZERO }
    }

    /// Continue the virtual time of an earlier run that was at `virt` when the machine's clock said `real`.
    pub fn resume(&mut self, real: Timestamp, virt: Timestamp) {
        self.real_zero = real;
        self.virt_zero = virt;
        self.skipped = SignedDuration::ZERO;
    }

    /// Let `by` of real time pass on a manual clock; a system clock isn't moved.
    pub fn step(&mut self, by: SignedDuration) {
        if let Source::Manual(at) = &mut self.source {
            *at = later(*at, by);
        }
    }

    /// Add to the virtual time only, as `POST /_sim/clock` does.
    pub fn skip(&mut self, by: SignedDuration) {
        self.skipped = self.skipped.saturating_add(by);
    }

    /// Virtual seconds to a real one.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Both times, now.
    pub fn now(&self) -> Now {
        let real = match self.source {
            Source::System => Timestamp::now(),
            Source::Manual(at) => at,
        };
        let elapsed = real.duration_since(self.real_zero).as_secs_f64().max(0.0);
        let virt = later(later(self.virt_zero, seconds(elapsed * self.scale)), self.skipped);
        Now { real, virt }
    }
}

/// `at + by`, held at the end of time rather than overflowing.
pub fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// A duration of so many seconds; nonsense (NaN, out of range) becomes zero.
pub fn seconds(s: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(s).unwrap_or(SignedDuration::ZERO)
}

/// Read `90s`, `1h30m`, `PT15M` or `P1D` (a day is 24 hours).
///
/// # Errors
/// The text, when it is neither notation.
pub fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    let text = text.trim();
    text.parse::<SignedDuration>()
        .ok()
        .or_else(|| {
            let span: Span = text.parse().ok()?;
            span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
        })
        .ok_or_else(|| format!("{text:?} is not a duration; write it like 90s, 1h30m or PT15M"))
}

/// The way the service writes a duration back: largest units first, `PT2M` for 120 s, `PT0S` for none.
pub fn iso_duration(d: SignedDuration) -> String {
    let total = d.as_secs();
    let (days, hours, minutes, secs) = (total / 86_400, total / 3600 % 24, total / 60 % 60, total % 60);
    let mut out = String::from("P");
    if days > 0 {
        out.push_str(&format!("{days}D"));
    }
    let time: String = [(hours, 'H'), (minutes, 'M'), (secs, 'S')]
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    if !time.is_empty() {
        out.push('T');
        out.push_str(&time);
    }
    if out == "P" { "PT0S".into() } else { out }
}

/// The service's timestamp: seven fractional digits and an explicit zero offset.
pub fn wire_time(at: Timestamp) -> String {
    let zoned = at.to_zoned(TimeZone::UTC);
    format!("{}.{:07}+00:00", zoned.strftime("%Y-%m-%dT%H:%M:%S"), zoned.subsec_nanosecond() / 100)
}

/// ARM's own timestamp: seven fractional digits and `Z`.
pub fn arm_time(at: Timestamp) -> String {
    wire_time(at).replace("+00:00", "Z")
}

/// The HTTP date of RFC 9110, for `Date` and a dated `Retry-After`.
pub fn http_date(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_written() {
        for (text, secs, iso) in [
            ("90s", 90, "PT1M30S"),
            ("PT120S", 120, "PT2M"),
            ("PT15M", 900, "PT15M"),
            ("1h30m", 5400, "PT1H30M"),
            ("P1D", 86_400, "P1D"),
            ("0s", 0, "PT0S"),
        ] {
            let d = parse_duration(text).unwrap();
            assert_eq!(d.as_secs(), secs, "{text}");
            assert_eq!(iso_duration(d), iso, "{text}");
        }
        assert!(parse_duration("soon").is_err());
    }

    #[test]
    fn times_as_the_service_writes_them() {
        let at: Timestamp = "2026-11-23T10:20:30.123456789Z".parse().unwrap();
        assert_eq!(wire_time(at), "2026-11-23T10:20:30.1234567+00:00");
        assert_eq!(arm_time(at), "2026-11-23T10:20:30.1234567Z");
        assert_eq!(http_date(at), "Mon, 23 Nov 2026 10:20:30 GMT");
    }

    #[test]
    fn virtual_time_runs_by_scale_and_by_hand() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut clock = Clock::manual(start, 60.0);
        clock.step(SignedDuration::from_secs(1));
        clock.skip(SignedDuration::from_secs(600));
        let now = clock.now();
        assert_eq!(now.real.duration_since(start).as_secs(), 1);
        assert_eq!(now.virt.duration_since(start).as_secs(), 660);
    }
}
