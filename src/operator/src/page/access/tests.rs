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
    Places { watched: set(watched), inhabited: set(inhabited), all: None }
}

/// What an operator knows that watches all namespaces.
fn of_all(inhabited: &[&str], all: &[&str]) -> Places {
    let Places { inhabited: all, .. } = places(&[], all);
    Places { all: Some(all), ..places(&[], inhabited) }
}

#[tokio::test]
async fn a_viewer_sees_what_kubectl_would_show() {
    const W: &str = "workspaces";
    const C: &str = "computeclusters";
    let everywhere = of_all(&["a", "b"], &["a", "b", "c"]);
    let empty = of_all(&[], &["a", "b", "c"]);
    let two = places(&["a", "b"], &["a"]);
    // Token, rights, places, and what is seen: a Workspace in a, a cluster in a, a cluster in b.
    type Seen = Result<[bool; 3], &'static str>;
    let rows: [(&str, Rights, &Places, Seen); 14] = [
        ("good", &[(W, "*"), (C, "*")], &everywhere, Ok([true, true, true])),
        ("good", &[(W, "*")], &everywhere, Ok([true, false, false])),
        ("good", &[(C, "*")], &everywhere, Ok([false, true, true])),
        ("good", &[(W, "a"), (C, "a")], &everywhere, Ok([true, true, false])),
        ("good", &[(W, "a"), (C, "b")], &two, Ok([true, false, true])),
        ("good", &[(W, "*"), (C, "*")], &two, Ok([true, true, true])),
        ("good", &[(W, "c"), (C, "c")], &two, Err("ada may not list")),
        // Where no object is yet, there is a right to see it when it comes.
        ("good", &[(W, "a"), (C, "a")], &empty, Ok([true, true, false])),
        ("good", &[(W, "c"), (C, "c")], &everywhere, Ok([false, false, false])),
        ("good", &[], &empty, Err("ada may not list")),
        // Before the namespaces are known, nobody is told that they may see nothing.
        ("good", &[(W, "a"), (C, "a")], &places(&[], &[]), Ok([false, false, false])),
        ("good", &[], &places(&[], &["a"]), Ok([false, false, false])),
        ("good", &[], &everywhere, Err("ada may not list")),
        ("bad", &[(W, "*"), (C, "*")], &everywhere, Err("doesn't accept the token")),
    ];
    let cases = rows.len();
    for (token, rights, places, expected) in rows {
        let reviews = Reviews::new(Fake { rights: rights.to_vec(), ..Fake::default() });
        let key = |kind, namespace: &str| Key { kind, namespace: namespace.to_owned(), name: "x".to_owned() };
        let keys = [key("Workspace", "a"), key("ComputeCluster", "a"), key("ComputeCluster", "b")];
        match (reviews.access(token, None, || places.clone()).await, expected) {
            (Ok(reviewed), Ok(seen)) => assert_eq!(keys.map(|key| reviewed.access.sees(&key)), seen, "{rights:?}"),
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
        let refusal = reviews.access("good", None, Places::default).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn reviews_are_kept_briefly_and_not_without_bound() {
    let asked = Arc::new(AtomicUsize::new(0));
    let rights = vec![("workspaces", "*"), ("computeclusters", "*")];
    let reviews = Reviews::new(Fake { rights, asked: asked.clone(), ..Fake::default() });
    for _ in 0..3 {
        reviews.access("good", None, Places::default).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3, "one token and two kinds, once");
    tokio::time::advance(REVIEW_LASTS).await;
    reviews.access("good", None, Places::default).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 6, "and again when that is old");
    for i in 0..2 * MOST_KNOWN {
        reviews.access(&format!("bad-{i}"), None, Places::default).await.unwrap_err();
    }
    assert_eq!(reviews.lock().len(), MOST_KNOWN);
    assert!(reviews.lock().keys().all(|key| !key.starts_with(b"bad-")), "no token is kept as it is");
}

#[tokio::test(start_paused = true)]
async fn who_could_see_goes_on_after_the_last_object() {
    const RIGHTS: &[(&str, &str)] = &[("workspaces", "z"), ("computeclusters", "z")];
    let reviews = Reviews::new(Fake { rights: RIGHTS.to_vec(), ..Fake::default() });
    let many: Vec<String> = (0..2 * MOST_NAMESPACES).map(|i| format!("n{i:03}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let first = reviews.access("good", None, || of_all(&["z"], &["z"])).await.unwrap();
    assert_eq!((first.access.namespaces(), first.access.unasked), (Some(BTreeSet::from(["z".to_owned()])), 0));
    tokio::time::advance(REVIEW_LASTS).await;
    let all = [&many[..], &["z"]].concat();
    let gone = reviews.access("good", Some(&first.access), || of_all(&[], &all)).await.unwrap();
    assert_eq!(gone.access, first.access);
    // Somebody of whom nothing was known is told that not all namespaces were asked about, and not that they may see none.
    tokio::time::advance(REVIEW_LASTS).await;
    let new = reviews.access("good", None, || of_all(&many, &all)).await.unwrap();
    assert_eq!((new.access.kinds.len(), new.access.unasked), (0, MOST_NAMESPACES + 1));
}

#[tokio::test]
async fn nothing_is_looked_for_before_the_token_is_known() {
    let reviews = Reviews::new(Fake::default());
    let looked = || panic!("places were looked for");
    assert_eq!(reviews.access("bad", None, looked).await.unwrap_err(), Refusal::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_review_counts_from_when_it_was_asked() {
    let reviews = Reviews::new(Fake { rights: vec![("workspaces", "*")], ..Fake::default() });
    let first = reviews.access("good", None, Places::default).await.unwrap().asked;
    tokio::time::advance(REVIEW_LASTS - Duration::from_secs(1)).await;
    assert_eq!(reviews.access("good", None, Places::default).await.unwrap().asked, first, "the same review");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(reviews.access("good", None, Places::default).await.unwrap().asked, first + REVIEW_LASTS);
}

/// An API server that answers about namespaces when it is asked about so many at once.
struct Together(tokio::sync::Barrier);

impl Reviewer for Together {
    async fn user(&self, _: &str) -> Result<Option<UserInfo>, kube::Error> {
        Ok(Some(UserInfo::default()))
    }

    async fn may_list(&self, _: &UserInfo, _: &str, namespace: Option<&str>) -> Result<bool, kube::Error> {
        if namespace.is_some() {
            self.0.wait().await;
        }
        Ok(namespace.is_some())
    }
}

#[tokio::test(start_paused = true)]
async fn namespaces_are_asked_about_several_at_a_time() {
    let reviews = Reviews::new(Together(tokio::sync::Barrier::new(NAMESPACES_AT_A_TIME)));
    let names: Vec<String> = (0..2 * NAMESPACES_AT_A_TIME).map(|i| i.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let reviewed = reviews.access("good", None, || places(&names, &[])).await.unwrap();
    assert_eq!(reviewed.access.namespaces().map(|all| all.len()), Some(names.len()));
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
