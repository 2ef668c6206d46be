//! The decision who may look, as tables.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// What a user may list: plural and namespace, `*` for all.
type Rights = &'static [(&'static str, &'static str)];

/// An API server that knows one token, and what its user may list.
#[derive(Default)]
struct Fake {
    rights: Vec<(&'static str, &'static str)>,
    down: bool,
    asked: Arc<AtomicUsize>,
}

impl Fake {
    fn answer<T>(&self, answer: T) -> Result<T, kube::Error> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.down { Err(kube::Error::LinesCodecMaxLineLengthExceeded) } else { Ok(answer) }
    }
}

impl Reviewer for Fake {
    async fn user(&self, token: &str) -> Result<Option<UserInfo>, kube::Error> {
        let user = UserInfo { username: Some("ada".to_owned()), ..UserInfo::default() };
        self.answer((token == "good").then_some(user))
    }

    async fn may_list(&self, _: &UserInfo, plural: &str, namespace: Option<&str>) -> Result<bool, kube::Error> {
        self.answer(self.rights.contains(&(plural, namespace.unwrap_or("*"))) || self.rights.contains(&(plural, "*")))
    }
}

fn places(watched: &[&str], inhabited: &[&str]) -> Places {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Places { watched: set(watched), inhabited: set(inhabited) }
}

#[tokio::test]
async fn a_viewer_sees_what_kubectl_would_show() {
    const W: &str = "workspaces";
    const C: &str = "computeclusters";
    let everywhere = places(&[], &["a", "b"]);
    let two = places(&["a", "b"], &["a"]);
    // Token, rights, places, and what is seen: a Workspace in a, a cluster in a, a cluster in b.
    type Seen = Result<[bool; 3], &'static str>;
    let rows: [(&str, Rights, &Places, Seen); 10] = [
        ("good", &[(W, "*"), (C, "*")], &everywhere, Ok([true, true, true])),
        ("good", &[(W, "*")], &everywhere, Ok([true, false, false])),
        ("good", &[(C, "*")], &everywhere, Ok([false, true, true])),
        ("good", &[(W, "a"), (C, "a")], &everywhere, Ok([true, true, false])),
        ("good", &[(W, "a"), (C, "b")], &two, Ok([true, false, true])),
        ("good", &[(W, "*"), (C, "*")], &two, Ok([true, true, true])),
        ("good", &[(W, "c"), (C, "c")], &two, Err("ada may not list")),
        ("good", &[(W, "a"), (C, "a")], &places(&[], &[]), Err("ada may not list")),
        ("good", &[], &everywhere, Err("ada may not list")),
        ("bad", &[(W, "*"), (C, "*")], &everywhere, Err("doesn't accept the token")),
    ];
    let cases = rows.len();
    for (token, rights, places, expected) in rows {
        let reviews = Reviews::new(Fake { rights: rights.to_vec(), ..Fake::default() });
        let key = |kind, namespace: &str| Key { kind, namespace: namespace.to_owned(), name: "x".to_owned() };
        let keys = [key("Workspace", "a"), key("ComputeCluster", "a"), key("ComputeCluster", "b")];
        match (reviews.access(token, places).await, expected) {
            (Ok(access), Ok(seen)) => assert_eq!(keys.map(|key| access.sees(&key)), seen, "{rights:?}"),
            (Err(refusal), Err(words)) => assert!(refusal.to_string().contains(words), "{refusal}"),
            (verdict, expected) => panic!("{rights:?}: {verdict:?}, not {expected:?}"),
        }
    }
    azureml_promises::held("src/operator/src/page/access/tests.rs::a_viewer_sees_what_kubectl_would_show", cases);
}

#[tokio::test]
async fn what_cannot_be_found_out_is_refused_and_asked_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let reviews = Reviews::new(Fake { down: true, asked: asked.clone(), ..Fake::default() });
    for _ in 0..2 {
        let refusal = reviews.access("good", &Places::default()).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn reviews_are_kept_briefly_and_not_without_bound() {
    let asked = Arc::new(AtomicUsize::new(0));
    let rights = vec![("workspaces", "*"), ("computeclusters", "*")];
    let reviews = Reviews::new(Fake { rights, asked: asked.clone(), ..Fake::default() });
    let everywhere = Places::default();
    for _ in 0..3 {
        reviews.access("good", &everywhere).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3, "one token and two kinds, once");
    tokio::time::advance(REVIEW_LASTS).await;
    reviews.access("good", &everywhere).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 6, "and again when that is old");
    for i in 0..2 * MOST_KNOWN {
        reviews.access(&format!("bad-{i}"), &everywhere).await.unwrap_err();
    }
    assert_eq!(reviews.lock().len(), MOST_KNOWN);
    assert!(reviews.lock().keys().all(|key| !key.starts_with(b"bad-")), "no token is kept as it is");
}

#[test]
fn only_a_bearer_token_is_one() {
    let long = format!("Bearer {}", "a".repeat(LONGEST_TOKEN + 1));
    let rows = [
        (None, None),
        (Some("Bearer abc"), Some("abc")),
        (Some("bearer  abc "), Some("abc")),
        (Some("Basic abc"), None),
        (Some("Bearer "), None),
        (Some("Bearer"), None),
        (Some("abc"), None),
        (Some("Bearer a b"), None),
        (Some("Bearer a\u{e9}"), None),
        (Some(long.as_str()), None),
    ];
    for (header, token) in rows {
        assert_eq!(bearer(header).ok(), token, "{header:?}");
    }
}
