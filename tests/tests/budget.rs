//! Within Azure's limits: many writes on small buckets, strangers who draw from them too, a provider that throttles one
//! region, and drift that waits behind people. The buckets are each subscription's own, so the cases don't meet.

use std::collections::BTreeMap;
use std::time::Duration;

use azureml_tests::fleet::{self, Bucket, Limits, Site};
use azureml_tests::sim::SimOptions;
use azureml_tests::team::{LONG, Team, brisk};
use azureml_tests::{EnvOptions, Environment, Error, Mark, Result, SimRequest, Until};
use serde_json::{Value, json};

/// Azure's buckets are 200 and 250; the proportions are the same.
const LIMITS: Limits =
    Limits { reads: Bucket { size: 40.0, per_second: 8.0 }, writes: Bucket { size: 8.0, per_second: 1.0 } };
/// How many clusters are created at once: several times what the bucket holds.
const BURST: usize = 24;
/// How many while a stranger draws from the bucket.
const SHARED: usize = 16;
/// How many drift at once: so many that their repair takes longer than an edit does on a busy machine.
const DRIFTED: usize = 30;
/// How many repairs may come between an edit and its write: those whose turn had come already.
const UNDER_WAY: usize = 3;
/// How many of our requests may be refused while the stranger takes half of the refill. A refusal closes the bucket for all
/// of us once: what was under way is refused together (three at most ask while it isn't known what is left), and each
/// further one costs a wait that is twice as long.
const REFUSED: usize = 8;
/// How many seconds the provider asks to wait: longer than all that is tried.
const THROTTLED: u32 = 600;

#[tokio::test(flavor = "multi_thread")]
async fn writes_stay_within_azures_limits() {
    let dir = std::env::temp_dir().join(format!("azureml-budget-{}.json", std::process::id()));
    let all: Vec<Site> = [burst(), shared(), drifting()].into_iter().chain(regions()).collect();
    let world = fleet::world(&dir, &all, LIMITS).unwrap_or_else(|error| panic!("{error}"));
    let sim = SimOptions { world, ..SimOptions::default() };
    let env = Environment::start(EnvOptions { sim, ..brisk() }).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = async {
        tokio::try_join!(
            a_burst_is_written_once_and_never_refused(&env),
            a_stranger_in_the_bucket_is_waited_for(&env),
            a_providers_limit_stops_one_region_of_one_subscription(&env),
            a_persons_edit_goes_before_the_repair_of_drift(&env),
        )
    };
    let ended = cases.await;
    let _ = std::fs::remove_file(&dir);
    let (burst, shared, regions, drift) = ended.unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("budget::writes_stay_within_azures_limits", burst + shared + regions + drift);
}

fn burst() -> Site {
    Site::new(1, "westeurope", "burst")
}

fn shared() -> Site {
    Site::new(2, "westeurope", "shared")
}

fn drifting() -> Site {
    Site::new(3, "westeurope", "drifting")
}

/// A region that is throttled, another one of the same subscription, and the same one of another subscription.
fn regions() -> [Site; 3] {
    [
        Site::new(4, "northeurope", "throttled"),
        Site::new(4, "swedencentral", "elsewhere"),
        Site::new(5, "northeurope", "another"),
    ]
}

/// Makes a site's namespace with its Workspace and clusters, which all begin at once.
fn team<'e>(env: &'e Environment, site: &Site, names: &[String]) -> Result<Team<'e>> {
    let team = Team::without_workspace(env, &site.workspace)?;
    let clusters: Vec<Value> = names.iter().map(|name| site.cluster(&team.namespace, name)).collect();
    env.apply(&fleet::list(&clusters))?;
    env.apply(&fleet::list(&[site.object(&team.namespace, "2s")]))?;
    Ok(team)
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n:02}x")).collect()
}

async fn all_ready(team: &Team<'_>, names: &[String]) -> Result<()> {
    for name in names {
        team.wait(name, Until::ready()).await?;
    }
    Ok(())
}

/// The requests of a site's subscription after a mark.
async fn requests(env: &Environment, site: &Site, mark: Mark) -> Result<Vec<SimRequest>> {
    let all = env.sim.since(mark).await?;
    Ok(all.into_iter().filter(|request| request.path.contains(&site.subscription)).collect())
}

/// How often each cluster was written with success, by verb and name.
fn effective(requests: &[SimRequest]) -> BTreeMap<String, usize> {
    let mut writes = BTreeMap::new();
    for request in requests.iter().filter(|request| request.is_write() && request.status < 400) {
        let name = request.path.rsplit('/').next().unwrap_or_default();
        *writes.entry(format!("{} {name}", request.method)).or_default() += 1;
    }
    writes
}

fn once(verb: &str, names: &[String]) -> BTreeMap<String, usize> {
    names.iter().map(|name| (format!("{verb} {name}"), 1)).collect()
}

fn refused(requests: &[SimRequest]) -> Vec<&SimRequest> {
    requests.iter().filter(|request| request.status == 429).collect()
}

async fn a_burst_is_written_once_and_never_refused(env: &Environment) -> Result<usize> {
    let mark = env.sim.mark().await?;
    let names = names("burst", BURST);
    let team = team(env, &burst(), &names)?;
    all_ready(&team, &names).await?;
    let requests = requests(env, &burst(), mark).await?;
    assert!(refused(&requests).is_empty(), "{:#?}", refused(&requests));
    assert_eq!(effective(&requests), once("PUT", &names));
    Ok(names.len())
}

/// Takes half of what the bucket holds and every other token that comes back, as another operator or Terraform would that
/// works with the same principal, and waits a little when refused.
async fn stranger(env: &Environment, site: &Site) -> Result<()> {
    let arm = env.sim.arm().await?;
    let path = format!("{}/listNodes", site.compute("strangers"));
    for _ in 0..4 {
        arm.post(&path, json!({})).await?;
    }
    loop {
        let refused = arm.post(&path, json!({})).await?.status.as_u16() == 429;
        tokio::time::sleep(Duration::from_millis(if refused { 4000 } else { 2000 })).await;
    }
}

async fn a_stranger_in_the_bucket_is_waited_for(env: &Environment) -> Result<usize> {
    let mark = env.sim.mark().await?;
    let names = names("shared", SHARED);
    let ours = async {
        let team = team(env, &shared(), &names)?;
        all_ready(&team, &names).await
    };
    let theirs = shared();
    tokio::select! {
        ended = ours => ended?,
        ended = stranger(env, &theirs) => return Err(ended.err().unwrap_or(Error::Invalid("the stranger left".into()))),
    }
    let requests = requests(env, &shared(), mark).await?;
    let ours: Vec<SimRequest> = requests.into_iter().filter(|request| !request.path.contains("/strangers/")).collect();
    assert!(refused(&ours).len() <= REFUSED, "{:#?}", refused(&ours));
    assert_eq!(effective(&ours), once("PUT", &names));
    Ok(names.len())
}

async fn a_providers_limit_stops_one_region_of_one_subscription(env: &Environment) -> Result<usize> {
    let [throttled, elsewhere, another] = regions();
    let fault = json!({"rpThrottle": {"retryAfter": THROTTLED}});
    let matched = json!({"method": "PUT", "pathContains": format!("/workspaces/{}/computes/", throttled.workspace)});
    env.sim.fault(json!({"match": matched, "times": 1, "fault": fault})).await?;
    let first = names("first", 1);
    let mark = env.sim.mark().await?;
    let team_there = team(env, &throttled, &first)?;
    team_there.wait(&first[0], Until::reason("Ready", "Throttled")).await?;
    // The next one there isn't even tried; the other region and the other subscription go on.
    env.apply(&fleet::list(&[throttled.cluster(&team_there.namespace, "second")]))?;
    team_there.wait("second", Until::reason("Ready", "WaitingForBudget")).await?;
    let mut cases = 2;
    for site in [&elsewhere, &another] {
        let names = names("free", 2);
        let team = team(env, site, &names)?;
        all_ready(&team, &names).await?;
        cases += names.len();
    }
    let requests = requests(env, &throttled, mark).await?;
    let there: Vec<&SimRequest> =
        requests.iter().filter(|request| request.is_write() && request.path.contains(&throttled.workspace)).collect();
    assert_eq!(there.len(), 1, "{there:#?}");
    // It can still be seen: a throttled write leaves the reads.
    let lists = requests.iter().filter(|request| request.is_list() && request.path.contains(&throttled.workspace));
    assert!(lists.count() > 1);
    Ok(cases)
}

async fn a_persons_edit_goes_before_the_repair_of_drift(env: &Environment) -> Result<usize> {
    let names = names("drift", DRIFTED);
    let site = drifting();
    let team = team(env, &site, &names)?;
    all_ready(&team, &names).await?;
    for name in &names {
        team.wait(name, Until::condition("InSync", "True")).await?;
    }
    let (edited, drifted) = (&names[0], &names[1..]);
    let mark = env.sim.mark().await?;
    let change = json!({"properties": {"properties": {"scaleSettings": {"maxNodeCount": 9}}}});
    for name in drifted {
        env.sim.post(&format!("compute{}", site.compute(name)), change.clone()).await?;
    }
    let is_repair =
        |request: &SimRequest| request.method == "PATCH" && drifted.iter().any(|name| request.is_about(name));
    // By now the others wait for their turn.
    env.sim.wait_for_requests("repairs of drift", mark, 2, LONG, is_repair).await?;
    team.edit(edited, json!({"scale": {"maxNodes": 2}}))?;
    let is_edit = |request: &SimRequest| request.method == "PATCH" && request.is_about(edited);
    let edit = env.sim.mark().await?;
    env.sim.wait_for_requests("PATCH of the edited cluster", mark, 1, LONG, is_edit).await?;
    env.sim.wait_for_requests("repairs of drift", mark, drifted.len(), LONG, is_repair).await?;
    let since = env.sim.since(edit).await?;
    // An edit that was written before the mark was taken had nothing between it and its write.
    let written = since.iter().position(is_edit).unwrap_or_default();
    let repairs = |part: &[SimRequest]| part.iter().filter(|request| is_repair(request)).count();
    let (before, after) = (repairs(&since[..written]), repairs(&since[written..]));
    assert!(before <= UNDER_WAY && after > 0, "{before} repairs went before the edit, and {after} after it");
    let ours = requests(env, &site, mark).await?;
    assert!(refused(&ours).is_empty(), "{:#?}", refused(&ours));
    assert_eq!(effective(&ours), once("PATCH", &names));
    Ok(names.len())
}
