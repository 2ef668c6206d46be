//! The page to look at: who sees what, by the real API server's reviews, and what a person sees, in headless Chromium.

mod browser;
mod fixture;

use std::io::Write;

use azureml_tests::environment::Install;
use azureml_tests::operator::{NAMESPACE, Operator, OperatorOptions};
use azureml_tests::team::{LONG, Team, brisk};
use azureml_tests::wait::eventually;
use azureml_tests::{EnvOptions, Environment, Error, Result};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

/// What the chart's role for viewers is called.
const VIEW: &str = "azureml-operator-view";

/// All of it in one environment: the cases disturb nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_each_viewer_what_kubectl_would() {
    let mut options = EnvOptions { install: Install::Chart(json!({"page": {"enabled": true}})), ..brisk() };
    options.operator.flags.push(("--leader-elect".into(), "true".into()));
    let standby = OperatorOptions { replica: Some("standby".into()), ..options.operator.clone() };
    let mut env = Environment::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    let base = env.operator().unwrap().admin_url();
    let cases = looked_at(&env, &base, &standby).await.unwrap_or_else(|error| panic!("{error}"));
    browser::a_person_looks(&env, &base).await.unwrap_or_else(|error| panic!("{error}"));

    let mut open = events(&base, &token(&env, "ml", "viewer", &[]).unwrap()).await.unwrap();
    next(&mut open).await.unwrap();
    env.stop_operator().unwrap_or_else(|error| panic!("an open stream holds up the stop: {error}"));
    azureml_promises::held("page::the_page_shows_each_viewer_what_kubectl_would", cases + 1);
}

async fn looked_at(env: &Environment, base: &str, standby: &OperatorOptions) -> Result<usize> {
    let (ml, web) = (Team::new(env, "ml")?, Team::new(env, "web")?);
    ml.ready_cluster("gpu", json!({})).await?;
    web.ready_cluster("cpu", json!({"azureName": "web-cpu"})).await?;
    env.namespace("empty")?;
    for account in ["viewer", "nobody", "everybody", "guest", "early"] {
        ml.kubectl(&["create", "serviceaccount", account])?;
    }
    for account in ["viewer", "guest"] {
        let subject = format!("--serviceaccount=ml:{account}");
        ml.kubectl(&["create", "rolebinding", account, "--clusterrole", VIEW, &subject])?;
    }
    let early = ["create", "rolebinding", "early", "--clusterrole", VIEW, "--serviceaccount=ml:early"];
    env.plane.kubectl(&[&["-n", "empty"], &early[..]].concat())?;
    let subject = "--serviceaccount=ml:everybody";
    env.plane.kubectl(&["create", "clusterrolebinding", "everybody", "--clusterrole", VIEW, subject])?;

    let mut cases = open_files(base).await?;
    cases += viewers(env, base).await?;
    cases += ended(env, base, &ml).await?;
    cases += stood_by(env, standby).await?;
    Ok(cases)
}

/// The page's own files are for everybody, hold nothing, and can be put to no other use.
async fn open_files(base: &str) -> Result<usize> {
    let files = ["page/", "page/page.css", "page/page.js", "page/stream.js", "page/chart.js", "page/icon.svg"];
    for file in files {
        let answer = get(&format!("{base}/{file}"), None).await?;
        assert_eq!(answer.status(), StatusCode::OK, "{file}");
        guarded(&answer);
        assert!(answer.headers().get("set-cookie").is_none());
        let text = answer.text().await.unwrap();
        assert!(
            !text.contains("<script>") && !text.contains(" on") || !file.ends_with('/'),
            "{file} has no inline script"
        );
    }
    for short in ["", "page"] {
        let answer = get(&format!("{base}/{short}"), None).await?;
        assert_eq!(answer.url().as_str(), format!("{base}/page/"), "/{short} leads there");
    }
    // Probes and metrics are as they were.
    for path in ["healthz", "readyz", "metrics"] {
        assert_eq!(get(&format!("{base}/{path}"), None).await?.status(), StatusCode::OK, "{path}");
    }
    Ok(files.len())
}

fn guarded(answer: &Response) {
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let policy = header("content-security-policy");
    for words in
        ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]
    {
        assert!(policy.contains(words), "{words} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for (name, value) in
        [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("cache-control", "no-store")]
    {
        assert_eq!(header(name), value, "{name}");
    }
}

/// Each token, what it is answered, and whose clusters it shows.
async fn viewers(env: &Environment, base: &str) -> Result<usize> {
    let of = |account: &str| token(env, "ml", account, &[]);
    let forged = of("everybody")?.rsplit_once('.').map(|(signed, _)| format!("{signed}.AAAA")).unwrap_or_default();
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let both = Some(&["ComputeCluster/ml/gpu", "ComputeCluster/web/cpu"][..]);
    let rows = [
        ("none", None, 401, None),
        ("no token at all", Some("Bearer ".to_owned()), 401, None),
        ("nonsense", bearer("nonsense"), 401, None),
        ("a forged one", bearer(&forged), 401, None),
        ("for another audience", bearer(&token(env, "ml", "everybody", &["--audience", "elsewhere"])?), 401, None),
        ("not as a bearer", Some(format!("Basic {}", of("everybody")?)), 401, None),
        ("without rights", bearer(&of("nobody")?), 403, None),
        ("with rights where nothing is yet", bearer(&of("early")?), 200, None),
        ("with rights in one namespace", bearer(&of("viewer")?), 200, Some(&["ComputeCluster/ml/gpu"][..])),
        ("with rights everywhere", bearer(&of("everybody")?), 200, both),
    ];
    let cases = rows.len();
    for (what, header, status, expected) in rows {
        for path in ["page/state", "page/events"] {
            let answer = get(&format!("{base}/{path}"), header.as_deref()).await?;
            assert_eq!(answer.status().as_u16(), status, "{what}: {path}");
            guarded(&answer);
        }
        let answer = get(&format!("{base}/page/state"), header.as_deref()).await?.text().await.unwrap();
        keep(env, &answer);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let rows = answer["rows"].as_array().into_iter().flatten();
        let clusters: Vec<&str> =
            rows.filter_map(|row| row["id"].as_str()).filter(|id| id.starts_with("ComputeCluster/")).collect();
        assert_eq!(clusters, expected.unwrap_or_default(), "{what}: {answer}");
        if let Some(expected) = expected {
            assert_eq!(answer["head"]["counts"]["ready"], expected.len(), "{what}: {answer}");
            let users = answer["head"]["budgets"][0]["workspaces"].as_array().map(Vec::len);
            assert_eq!(users, Some(expected.len()), "limits by the Workspaces that are seen: {answer}");
        }
    }
    Ok(cases)
}

/// A stream ends when its token does.
async fn ended(env: &Environment, base: &str, ml: &Team<'_>) -> Result<usize> {
    let mut stream = events(base, &token(env, "ml", "guest", &[])?).await?;
    let (name, data) = next(&mut stream).await?;
    keep(env, &data.to_string());
    assert_eq!((name.as_str(), data["head"]["user"].as_str()), ("snapshot", Some("system:serviceaccount:ml:guest")));
    ml.kubectl(&["delete", "serviceaccount", "guest"])?;
    let told = eventually("the end of the stream", LONG, async || {
        let (name, data) = next(&mut stream).await?;
        Ok((name == "end").then_some(data))
    })
    .await?;
    assert_eq!(told["status"], 401, "{told}");
    assert!(stream.chunk().await.unwrap().is_none(), "nothing after it");
    Ok(1)
}

/// A standby says so, and who is at work.
async fn stood_by(env: &Environment, options: &OperatorOptions) -> Result<usize> {
    let standby = Operator::start(options, &env.plane, &env.sim).await?;
    let header = format!("Bearer {}", token(env, "ml", "everybody", &[])?);
    let state = eventually("a standby that has seen the leader", LONG, async || {
        let state = get(&format!("{}/page/state", standby.admin_url()), Some(&header)).await?;
        let state: Value = state.json().await.unwrap();
        Ok(state["head"]["leader"].is_string().then_some(state))
    })
    .await?;
    keep(env, &state.to_string());
    let head = &state["head"];
    assert_eq!((&head["leads"], &head["leader"]), (&json!(false), &json!("azureml-operator")), "{head}");
    assert_eq!(head["budgets"], json!([]), "it asks nothing of Azure");
    assert_eq!(head["counts"]["ready"], 2, "it has the objects: {head}");
    Ok(1)
}

/// A token of a service account, as `kubectl create token` gives it.
fn token(env: &Environment, namespace: &str, account: &str, more: &[&str]) -> Result<String> {
    let arguments = [&["-n", namespace, "create", "token", account][..], more].concat();
    Ok(env.plane.kubectl(&arguments)?.trim().to_owned())
}

/// Puts what the page told beside the operator's logs, where it is searched for secrets at the end.
fn keep(env: &Environment, answer: &str) {
    let path = env.plane.dir().path().join(format!("{NAMESPACE}-page.log"));
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    writeln!(file, "{answer}").unwrap();
}

async fn get(url: &str, authorization: Option<&str>) -> Result<Response> {
    let client = Client::builder().no_proxy().build().unwrap();
    let request =
        authorization.into_iter().fold(client.get(url), |request, value| request.header("authorization", value));
    request.send().await.map_err(|error| Error::Invalid(format!("GET {url}: {error}")))
}

async fn events(base: &str, token: &str) -> Result<Response> {
    let answer = get(&format!("{base}/page/events"), Some(&format!("Bearer {token}"))).await?;
    assert_eq!(answer.status(), StatusCode::OK);
    Ok(answer)
}

/// The next event's name and data.
async fn next(stream: &mut Response) -> Result<(String, Value)> {
    let mut text = String::new();
    while !text.ends_with("\n\n") || text.lines().all(|line| line.is_empty() || line.starts_with(':')) {
        let chunk = stream.chunk().await.map_err(|error| Error::Invalid(format!("the stream broke off: {error}")))?;
        let chunk = chunk.ok_or_else(|| Error::Invalid(format!("the stream ended after {text:?}")))?;
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    Ok((field("event:"), serde_json::from_str(&field("data:")).unwrap()))
}
