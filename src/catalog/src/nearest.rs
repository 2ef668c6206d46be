//! The names nearest to a mistyped one.

/// Up to `count` of the candidates, nearest first, by edit distance without case. Candidates that differ in more than
/// half of the characters are left out.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    let most = wanted.len() / 2;
    let mut ranked: Vec<(usize, &str)> = candidates
        .map(|candidate| (candidate.to_lowercase().chars().collect::<Vec<_>>(), candidate))
        // One that is so much longer or shorter differs in as many.
        .filter(|(chars, _)| chars.len().abs_diff(wanted.len()) <= most)
        .map(|(chars, candidate)| (distance(&wanted, &chars), candidate))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.into_iter().take(count).map(|(_, candidate)| candidate).collect()
}

/// Levenshtein distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            let best = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            diagonal = above;
            left = best;
            *cell = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("abc", "abc", 0), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(distance(&chars(a), &chars(b)), expected, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_come_first() {
        let sizes = ["Standard_DS3_v2", "Standard_D3_v2", "Standard_DS4_v2", "Standard_NC24ads_A100_v4"];
        assert_eq!(nearest("standard_ds3v2", sizes.into_iter(), 2), ["Standard_DS3_v2", "Standard_D3_v2"]);
        assert!(nearest("elephant", sizes.into_iter(), 3).is_empty());
    }
}
