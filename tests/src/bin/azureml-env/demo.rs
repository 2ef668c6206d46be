//! `demo`: everything from nothing, as a person would do it at a terminal. A step that isn't seen fails the demo.

use std::time::{Duration, Instant};

use azureml_tests::controlplane::kubectl;
use azureml_tests::sim::arm::{Arm, compute_id, workspace_id};
use azureml_tests::{Error, Result, SimClient, tail};
use serde_json::{Value, json};

use crate::local::Running;
use crate::up::{self, Found};
use crate::{Settings, interrupt};

/// The namespace that the samples make.
const NAMESPACE: &str = "ml";
/// The samples.
const SAMPLES: &str = "deploy/samples";
/// The workspace that the samples make.
const WORKSPACE: &str = "research";
/// How long a step may take. Azure's minutes are seconds here.
const WITHIN: &str = "--timeout=180s";
/// The nodes that the job asks for, and the bound that the edit sets.
const JOB_NODES: u32 = 2;
const EDITED_MAX: u32 = 3;
/// How often Azure's side is asked where no kubectl command waits.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How long Azure's side may take.
const AZURE_WITHIN: Duration = Duration::from_secs(120);

/// Runs the demo, and ends the environment afterwards if it was started for it and KEEP isn't set.
pub(crate) fn demo(settings: &Settings) -> Result<()> {
    let started = Instant::now();
    println!("==> Start Kubernetes, azure-sim and the operator\n  $ make up");
    let found = up::up(settings)?;
    let running = up::running()?;
    let result = show(&running);
    let keep = std::env::var("KEEP").is_ok_and(|keep| !keep.is_empty() && keep != "0");
    match &result {
        Err(_) if interrupt::check().is_err() => eprintln!("\nthe demo was interrupted"),
        Err(error) => eprintln!("\nthe demo failed: {error}\n\n{}", account(&running)),
        Ok(()) => {}
    }
    if keep || found == Found::Running {
        println!(
            "\nThe environment stays up. It is reached with\n\n{}\nand ended with `make down`.",
            running.exports()
        );
    } else {
        up::down()?;
    }
    result?;
    println!("\nEvery step was seen, in {} s.", started.elapsed().as_secs());
    Ok(())
}

fn show(running: &Running) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|source| Error::Io { action: "start the async runtime".into(), source })?;
    let sim = SimClient::new(&running.sim_url, &running.sim_ca)?;
    let arm = runtime.block_on(sim.arm())?;
    let stage = Stage { running, arm, runtime };
    stage.samples()?;
    let cluster = stage.cluster()?;
    stage.job(&cluster)?;
    stage.edit(&cluster)?;
    stage.end()
}

/// The cluster that the demo works with.
struct Cluster {
    object: String,
    azure_name: String,
}

struct Stage<'a> {
    running: &'a Running,
    arm: Arm,
    runtime: tokio::runtime::Runtime,
}

impl Stage<'_> {
    fn samples(&self) -> Result<()> {
        say("Declare a workspace with its credential, and clusters in it");
        self.kubectl(&["apply", "-k", SAMPLES])?;
        // Nodes come and go within seconds here: a look a minute would miss them.
        say("Have Azure looked at every 2 seconds, since its minutes are seconds here");
        let often = json!({"spec": {"observeInterval": "2s"}}).to_string();
        self.kubectl(&["-n", NAMESPACE, "patch", "workspace.azureml.dev", WORKSPACE, "--type=merge", "-p", &often])?;
        say("Wait until Azure has all of it");
        self.kubectl(&["-n", NAMESPACE, "wait", "azureml", "--all", "--for=condition=Ready", WITHIN])?;
        self.kubectl(&["-n", NAMESPACE, "get", "azureml"])
    }

    /// The samples' first cluster whose nodes Azure doesn't take away in the middle.
    fn cluster(&self) -> Result<Cluster> {
        let list = self.run(&["-n", NAMESPACE, "get", "computeclusters", "-o", "json"])?;
        let list: Value =
            serde_json::from_str(&list).map_err(|error| Error::Invalid(format!("kubectl printed no JSON: {error}")))?;
        let mut clusters = list["items"].as_array().into_iter().flatten();
        let found = clusters.find(|cluster| cluster["spec"]["vmPriority"] != "LowPriority");
        let object = found.and_then(|cluster| cluster["metadata"]["name"].as_str());
        let object = object.ok_or_else(|| Error::Invalid(format!("{SAMPLES} holds no dedicated ComputeCluster")))?;
        let azure_name = found.and_then(|cluster| cluster["spec"]["azureName"].as_str()).unwrap_or(object);
        Ok(Cluster { object: object.into(), azure_name: azure_name.into() })
    }

    fn job(&self, cluster: &Cluster) -> Result<()> {
        say(&format!(
            "Someone sends a job for {JOB_NODES} nodes: Azure scales the cluster up, and the object shows it"
        ));
        // Another name each time: the environment may have seen a demo before.
        let job = format!("demo-{}", std::process::id());
        println!("  (Azure) PUT {}/jobs/{job}", workspace_id());
        self.runtime.block_on(self.arm.submit_job(&job, &cluster.azure_name, JOB_NODES))?;
        self.wait_nodes(cluster, JOB_NODES)?;
        self.kubectl(&["-n", NAMESPACE, "get", "computecluster", &cluster.object])?;
        say("The job ends, the nodes stay idle for a while, and the cluster is empty again");
        self.wait_nodes(cluster, 0)?;
        self.kubectl(&["-n", NAMESPACE, "get", "computecluster", &cluster.object])
    }

    fn wait_nodes(&self, cluster: &Cluster, nodes: u32) -> Result<()> {
        let wanted = format!("--for=jsonpath={{.status.nodes.current}}={nodes}");
        self.kubectl(&["-n", NAMESPACE, "wait", "computecluster", &cluster.object, &wanted, WITHIN])
    }

    fn edit(&self, cluster: &Cluster) -> Result<()> {
        say("Edit the bound of its size: one PATCH in Azure");
        let edit = json!({"spec": {"scale": {"maxNodes": EDITED_MAX}}}).to_string();
        self.kubectl(&["-n", NAMESPACE, "patch", "computecluster", &cluster.object, "--type=merge", "-p", &edit])?;
        self.wait_azure(&format!("maxNodeCount = {EDITED_MAX}"), &compute_id(&cluster.azure_name), |body| {
            body.pointer("/properties/properties/scaleSettings/maxNodeCount") == Some(&json!(EDITED_MAX))
        })?;
        self.kubectl(&["-n", NAMESPACE, "wait", "computecluster", &cluster.object, "--for=condition=InSync", WITHIN])
    }

    fn end(&self) -> Result<()> {
        say("Delete all of it, with the namespace: Azure is as empty as before");
        self.kubectl(&["delete", "-k", SAMPLES, WITHIN])?;
        self.wait_azure("no compute is left", &format!("{}/computes", workspace_id()), |body| {
            body["value"] == json!([])
        })
    }

    /// Asks Azure until the answer is as wanted.
    fn wait_azure(&self, what: &str, path: &str, holds: impl Fn(&Value) -> bool) -> Result<()> {
        println!("  (Azure) GET {path} until {what}");
        let started = Instant::now();
        loop {
            let answer = self.runtime.block_on(self.arm.get(path))?;
            if answer.status.is_success() && holds(&answer.body) {
                return Ok(());
            }
            if started.elapsed() > AZURE_WITHIN {
                let (seconds, body) = (AZURE_WITHIN.as_secs(), answer.body);
                return Err(Error::TimedOut(format!("after {seconds} s Azure's {path} is still {body}")));
            }
            interrupt::check()?;
            std::thread::sleep(ASK_EVERY);
        }
    }

    /// Runs kubectl and shows the command and what it prints.
    fn kubectl(&self, arguments: &[&str]) -> Result<()> {
        println!("  $ kubectl {}", arguments.iter().map(|word| shown(word)).collect::<Vec<_>>().join(" "));
        let printed = self.run(arguments)?;
        for line in printed.lines() {
            println!("    {line}");
        }
        Ok(())
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        kubectl::run(&self.running.kubectl, &self.running.kubeconfig, arguments, "")
    }
}

fn say(what: &str) {
    println!("\n==> {what}");
}

/// A word as a person would type it in a shell.
fn shown(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,".contains(c);
    if word.chars().all(plain) { word.into() } else { format!("'{word}'") }
}

/// What the parts of the environment said last.
fn account(running: &Running) -> String {
    let objects = kubectl::run(&running.kubectl, &running.kubeconfig, &["get", "azureml", "-A", "-o", "yaml"], "");
    let objects = objects.unwrap_or_else(|error| error.to_string());
    let operator = running.operator_log();
    format!(
        "--- objects:\n{objects}\n--- the operator's last lines:\n{}\n--- azure-sim's last lines:\n{}",
        tail(&operator, 60),
        tail(&running.log("azure-sim"), 30)
    )
}
