//! Durations: both styles round trip, agree with each other, and take all that the definitions admit.

use azureml_api::compute_cluster::TABLE;
use azureml_api::duration::Seconds;
use azureml_api::fields::Compare;
use azureml_planner::diff;
use jiff::SignedDuration;
use serde_json::Value;

/// The input is a text that may be a duration.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (manifest, wire) = (Seconds::from_manifest(text), Seconds::from_iso8601(text));
    assert!(manifest.is_err() || wire.is_err(), "{text:?} is of both styles");
    for seconds in [&manifest, &wire].into_iter().flatten() {
        assert_eq!(Seconds::from_manifest(&seconds.to_string()).as_ref(), Ok(seconds));
        assert_eq!(Seconds::from_iso8601(&seconds.to_iso8601()).as_ref(), Ok(seconds));
    }
    if admitted(text) {
        assert!(manifest.is_ok(), "{text:?} is admitted by the definitions' pattern and not read");
    }
    if let Ok(seconds) = &wire {
        agrees(text, *seconds);
    }
    in_the_table(text, manifest.ok());
}

/// `^([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,9}s)?$`, of 2 to 24 characters.
fn admitted(text: &str) -> bool {
    let mut rest = text;
    for (unit, most) in [('h', 6), ('m', 8), ('s', 9)] {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if (1..=most).contains(&digits) && rest[digits..].starts_with(unit) {
            rest = &rest[digits + 1..];
        }
    }
    rest.is_empty() && (2..=24).contains(&text.len())
}

/// Another reader of ISO 8601 comes to the same, where it reads it at all.
fn agrees(text: &str, seconds: Seconds) {
    if let Ok(other) = text.parse::<SignedDuration>() {
        assert_eq!(u64::try_from(other.as_secs()).ok(), Some(seconds.0), "{text:?}");
    }
}

/// What goes to Azure and comes back in another unit is no difference.
fn in_the_table(text: &str, seconds: Option<Seconds>) {
    for field in TABLE.fields.iter().filter(|field| field.compare == Compare::Duration) {
        let wire = field.to_wire(&Value::from(text));
        let Some(seconds) = seconds else {
            assert_eq!(wire, Value::from(text));
            continue;
        };
        let in_seconds = Value::from(format!("PT{}S", seconds.0));
        assert!(diff::equal(field.compare, &wire, &in_seconds), "{wire} is not {in_seconds}");
        assert_eq!(Seconds::from_manifest(&field.words(&wire)), Ok(seconds));
    }
}
