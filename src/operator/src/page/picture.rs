//! What viewers see of the objects, made once for all who see the same, and what of it is news.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::page::access::{Access, Scope};
use crate::page::view::{Head, Row, State};

/// The objects that a viewer may see, at one moment.
#[derive(Debug, Default)]
pub struct Picture {
    /// What it was made from.
    revision: Revision,
    /// Rows by their id, as they are sent.
    rows: BTreeMap<String, Box<RawValue>>,
    /// Objects but Workspaces, by how they stand.
    pub counts: BTreeMap<State, usize>,
    /// Objects that aren't shown for being too many.
    pub omitted: usize,
}

/// Revisions of the index and of the history.
pub type Revision = (u64, u64);

/// What a viewer is told: all of it, or what has changed.
#[derive(Debug, Default, Serialize)]
pub struct Told<'a> {
    /// The operator's clock, in seconds of Unix time.
    pub now: i64,
    /// All but the objects, if any of it is news.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<&'a Head>,
    /// Rows that are news; left out of a change without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<&'a RawValue>>,
    /// Ids of the rows that went.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<&'a str>,
}

impl Told<'_> {
    /// Whether nothing is news.
    pub fn is_empty(&self) -> bool {
        self.head.is_none() && self.rows.is_none() && self.gone.is_empty()
    }
}

impl Picture {
    /// A picture of rows.
    ///
    /// # Errors
    /// When a row is no JSON, which none of ours is.
    pub fn new(
        revision: Revision,
        (rows, counts, omitted): (Vec<Row>, BTreeMap<State, usize>, usize),
    ) -> Result<Self, serde_json::Error> {
        let rows = rows.into_iter().map(|row| Ok((row.id.clone(), to_raw_value(&row)?)));
        Ok(Self { revision, rows: rows.collect::<Result<_, serde_json::Error>>()?, counts, omitted })
    }

    /// What is to be told to somebody who has been told `before`.
    pub fn since<'a>(&'a self, before: Option<&'a Self>) -> Told<'a> {
        let Some(before) = before else {
            return Told { rows: Some(self.rows.values().map(|row| &**row).collect()), ..Told::default() };
        };
        if std::ptr::eq(self, before) {
            return Told::default();
        }
        let is_news = |id: &str, row: &RawValue| before.rows.get(id).is_none_or(|old| old.get() != row.get());
        let all = self.rows.iter().map(|(id, row)| (id, &**row));
        let news: Vec<&RawValue> = all.filter(|(id, row)| is_news(id, row)).map(|(_, row)| row).collect();
        let gone = before.rows.keys().filter(|id| !self.rows.contains_key(*id)).map(String::as_str).collect();
        Told { rows: (!news.is_empty()).then_some(news), gone, ..Told::default() }
    }
}

/// The pictures that somebody looks at, by what is seen.
#[derive(Debug, Default)]
pub struct Pictures(Mutex<HashMap<Sight, Weak<Picture>>>);

type Sight = BTreeMap<&'static str, Scope>;

impl Pictures {
    /// The picture of a revision; it is made if nobody who sees the same has it.
    pub fn of(&self, access: &Access, revision: Revision, make: impl FnOnce() -> Picture) -> Arc<Picture> {
        // Held while it is made, so that of many who look at once one makes it.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(&access.kinds).and_then(Weak::upgrade).filter(|picture| picture.revision == revision);
        known.unwrap_or_else(|| {
            let picture = Arc::new(make());
            all.retain(|_, picture| picture.strong_count() > 0);
            all.insert(access.kinds.clone(), Arc::downgrade(&picture));
            picture
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    fn picture(revision: u64, rows: &[(&str, i64)]) -> Picture {
        let row =
            |(id, nodes): &(&str, i64)| ((*id).to_owned(), to_raw_value(&json!({"id": id, "nodes": nodes})).unwrap());
        Picture { revision: (revision, 0), rows: rows.iter().map(row).collect(), ..Picture::default() }
    }

    fn told(now: &Picture, before: Option<&Picture>) -> Value {
        serde_json::to_value(now.since(before)).unwrap()
    }

    #[test]
    fn only_what_has_changed_is_told() {
        let row = |id: &str, nodes: i64| json!({"id": id, "nodes": nodes});
        let first = picture(1, &[("a", 1), ("b", 1)]);
        assert_eq!(told(&first, None), json!({"now": 0, "rows": [row("a", 1), row("b", 1)]}));
        assert_eq!(told(&picture(1, &[]), None), json!({"now": 0, "rows": []}));
        assert!(first.since(Some(&first)).is_empty());
        assert!(picture(2, &[("a", 1), ("b", 1)]).since(Some(&first)).is_empty());
        assert_eq!(told(&picture(2, &[("a", 2), ("b", 1)]), Some(&first)), json!({"now": 0, "rows": [row("a", 2)]}));
        assert_eq!(told(&picture(2, &[("b", 1)]), Some(&first)), json!({"now": 0, "gone": ["a"]}));
    }

    #[test]
    fn who_sees_the_same_shares_a_picture() {
        let sees = |user: &str, scope| Access {
            user: user.to_owned(),
            kinds: BTreeMap::from([("Workspace", scope)]),
            unasked: 0,
        };
        let (ada, ben) = (sees("ada", Scope::All), sees("ben", Scope::All));
        let eve = sees("eve", Scope::Only(BTreeSet::from(["ml".to_owned()])));
        let pictures = Pictures::default();
        let made = std::cell::Cell::new(0);
        let of = |access, revision| {
            pictures.of(access, (revision, 0), || {
                made.set(made.get() + 1);
                picture(revision, &[("a", 1)])
            })
        };
        let held: Vec<Arc<Picture>> = (0..32).map(|i| of(if i % 2 == 0 { &ada } else { &ben }, 1)).collect();
        assert!(held.iter().all(|picture| Arc::ptr_eq(picture, &held[0])));
        let other = of(&eve, 1);
        assert_eq!(made.get(), 2, "one for each sight, however many look");
        let next = of(&ada, 2);
        assert!(!Arc::ptr_eq(&next, &held[0]) && Arc::ptr_eq(&next, &of(&ben, 2)));
        // Nobody looks any more: nothing is kept.
        let gone = Arc::downgrade(&next);
        drop((held, other, next));
        assert_eq!(gone.strong_count(), 0);
        let _ = of(&eve, 3);
        assert_eq!(pictures.0.lock().unwrap().len(), 1);
    }
}
