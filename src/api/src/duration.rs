//! Durations: Kubernetes style in manifests (`15m`, `1h30m`), ISO 8601 on Azure's wire (`PT15M`).

use std::fmt;

use thiserror::Error;

/// A whole number of seconds, parsed from either style.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub u64);

/// Text that isn't a duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not a duration: write it like 90s, 15m or 1h30m")]
pub struct InvalidDuration {
    /// What was given.
    pub text: String,
}

impl Seconds {
    /// Parses a Kubernetes-style duration of whole hours, minutes and seconds, in that order: `90s`, `15m`, `1h30m`.
    ///
    /// # Errors
    /// [`InvalidDuration`] for anything else, the empty string included.
    pub fn from_manifest(text: &str) -> Result<Self, InvalidDuration> {
        units(text, &[('h', 3600), ('m', 60), ('s', 1)]).ok_or_else(|| InvalidDuration { text: text.to_owned() })
    }

    /// Parses an ISO 8601 duration of weeks, days, hours, minutes and (possibly fractional) seconds, as Azure sends it:
    /// `PT120S`, `PT15M`, `P1DT2H`. Fractions of a second are dropped. Months and years have no fixed length and are
    /// refused.
    ///
    /// # Errors
    /// [`InvalidDuration`] for anything else.
    pub fn from_iso8601(text: &str) -> Result<Self, InvalidDuration> {
        iso8601(text).ok_or_else(|| InvalidDuration { text: text.to_owned() })
    }

    /// ISO 8601 in the largest whole units, as Azure's documentation writes it: `PT15M`, `PT1H30M`, `PT0S`.
    pub fn to_iso8601(self) -> String {
        if self.0 == 0 {
            return "PT0S".to_owned();
        }
        format!("PT{}", self.join('H', 'M', 'S'))
    }

    fn join(self, hour: char, minute: char, second: char) -> String {
        [(self.0 / 3600, hour), (self.0 / 60 % 60, minute), (self.0 % 60, second)]
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, unit)| format!("{count}{unit}"))
            .collect()
    }
}

impl fmt::Display for Seconds {
    /// Kubernetes style in the largest whole units: `15m`, `1h30m`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0s") } else { f.write_str(&self.join('h', 'm', 's')) }
    }
}

/// Sums `<digits><unit>` parts whose units appear at most once and in the given order.
fn units(text: &str, order: &[(char, u64)]) -> Option<Seconds> {
    let mut total: u64 = 0;
    let mut allowed = order;
    let mut digits = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let position = allowed.iter().position(|(unit, _)| *unit == c)?;
        let (_, scale) = allowed.get(position)?;
        total = total.checked_add(digits.parse::<u64>().ok()?.checked_mul(*scale)?)?;
        digits.clear();
        allowed = allowed.get(position + 1..)?;
    }
    (digits.is_empty() && !text.is_empty()).then_some(Seconds(total))
}

fn iso8601(text: &str) -> Option<Seconds> {
    let body = text.strip_prefix('P')?;
    let (date, time) = match body.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (body, ""),
    };
    let days = if date.is_empty() { Seconds(0) } else { units(date, &[('W', 604_800), ('D', 86_400)])? };
    let whole = match time.split_once('.') {
        Some((whole, fraction)) => {
            let digits = fraction.strip_suffix('S')?;
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            format!("{whole}S")
        }
        None => time.to_owned(),
    };
    let clock = if whole.is_empty() { Seconds(0) } else { units(&whole, &[('H', 3600), ('M', 60), ('S', 1)])? };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    days.0.checked_add(clock.0).map(Seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_style() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h30m", 5400), ("0s", 0), ("24h", 86_400), ("1h1s", 3601)]
        {
            assert_eq!(Seconds::from_manifest(text), Ok(Seconds(seconds)), "{text}");
        }
        for text in ["", "m", "15", "15x", "1m1h", "1.5h", "-1s", "1m1m", "PT15M", "99999999999999999999h"] {
            assert!(Seconds::from_manifest(text).is_err(), "{text}");
        }
    }

    #[test]
    fn wire_style() {
        for (text, seconds) in
            [("PT120S", 120), ("PT15M", 900), ("P1DT2H", 93_600), ("PT0.5S", 0), ("P1W", 604_800), ("PT1H0.0S", 3600)]
        {
            assert_eq!(Seconds::from_iso8601(text), Ok(Seconds(seconds)), "{text}");
        }
        for text in ["", "P", "PT", "P1Y", "P1M", "15m", "PT1", "PT1.S", "PTS", "PT1S1M"] {
            assert!(Seconds::from_iso8601(text).is_err(), "{text}");
        }
    }

    #[test]
    fn both_styles_round_trip() {
        for seconds in [0, 1, 59, 60, 61, 120, 3600, 3661, 86_400, 259_200, 1_000_000] {
            let s = Seconds(seconds);
            assert_eq!(Seconds::from_manifest(&s.to_string()), Ok(s));
            assert_eq!(Seconds::from_iso8601(&s.to_iso8601()), Ok(s));
        }
    }
}
