//! How long Azure asks to wait.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// Longer waits are cut: a typing error in a header must not park an object for good.
const LONGEST: Duration = Duration::from_secs(3600);

static HTTP_DATE: DateTimeParser = DateTimeParser::new();

/// The wait that the headers ask for: `retry-after-ms` or `x-ms-retry-after-ms` in
/// milliseconds, else `Retry-After` in seconds or as an HTTP date; at most an hour.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let milliseconds = ["retry-after-ms", "x-ms-retry-after-ms"]
        .into_iter()
        .find_map(|name| text(name)?.parse::<u64>().ok())
        .map(Duration::from_millis);
    let wait = milliseconds.or_else(|| wait(text("retry-after")?, now))?;
    Some(wait.min(LONGEST))
}

fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        let longest = LONGEST.as_secs_f64();
        return (0.0..f64::INFINITY).contains(&seconds).then(|| Duration::from_secs_f64(seconds.min(longest)));
    }
    let date = HTTP_DATE.parse_timestamp(text).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn reads_every_form() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let rows = [
            ("retry-after", "17", Some(17_000)),
            ("Retry-After", " 0 ", Some(0)),
            ("retry-after", "1.5", Some(1_500)),
            ("retry-after", "Mon, 23 Nov 2026 10:00:30 GMT", Some(30_000)),
            ("retry-after", "Mon, 23 Nov 2026 09:59:00 GMT", Some(0)),
            ("retry-after", "86400", Some(3_600_000)),
            ("retry-after", "Tue, 24 Nov 2026 10:00:00 GMT", Some(3_600_000)),
            ("retry-after", "-5", None),
            ("retry-after", "NaN", None),
            ("retry-after", "soon", None),
            ("retry-after", "", None),
            ("retry-after-ms", "250", Some(250)),
            ("x-ms-retry-after-ms", "1250", Some(1_250)),
            ("x-ms-retry-after-ms", "x", None),
            ("x-other", "5", None),
        ];
        for (name, value, expected) in rows {
            let mut headers = HeaderMap::new();
            let name: http::HeaderName = name.parse().unwrap();
            headers.insert(name.clone(), HeaderValue::from_static(value));
            let got = retry_after(&headers, now).map(|d| d.as_millis());
            assert_eq!(got, expected, "{name}: {value}");
        }
    }

    #[test]
    fn milliseconds_are_the_finer_answer() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("2"));
        headers.insert("retry-after-ms", HeaderValue::from_static("1500"));
        let got = retry_after(&headers, Timestamp::UNIX_EPOCH);
        assert_eq!(got, Some(Duration::from_millis(1500)));
    }
}
