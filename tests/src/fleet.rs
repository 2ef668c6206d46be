//! Many workspaces, with room for many clusters: worlds for what is about numbers, and the objects that fill them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::environment::CREDENTIAL;
use crate::sim::demo;
use crate::team::VM_SIZE;
use crate::{Error, Result};

/// A workspace in Azure, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The subscription's id.
    pub subscription: String,
    /// The region.
    pub region: String,
    /// The workspace's name, which is also its Workspace object's.
    pub workspace: String,
}

/// A token bucket of Azure Resource Manager.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Requests that may be sent at once.
    pub size: f64,
    /// Requests that come back each second.
    pub per_second: f64,
}

/// The buckets of each principal in each subscription; deletes have those of writes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// GET.
    pub reads: Bucket,
    /// PUT, PATCH and POST.
    pub writes: Bucket,
}

impl Limits {
    /// Azure's, divided by a number.
    pub fn azure_over(parts: f64) -> Self {
        let bucket = |size: f64, per_second: f64| Bucket { size: size / parts, per_second: per_second / parts };
        Limits { reads: bucket(250.0, 25.0), writes: bucket(200.0, 10.0) }
    }
}

impl Site {
    /// The n-th subscription (from 1), a region and a workspace.
    pub fn new(subscription: u32, region: &str, workspace: &str) -> Self {
        let subscription = format!("00000000-0000-0000-0000-{subscription:012}");
        Site { subscription, region: region.to_string(), workspace: workspace.to_string() }
    }

    /// The workspace's ARM id.
    pub fn id(&self) -> String {
        let Site { subscription, workspace, .. } = self;
        let group = demo::RESOURCE_GROUP;
        format!(
            "/subscriptions/{subscription}/resourceGroups/{group}\
             /providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
        )
    }

    /// The ARM id of a compute in it.
    pub fn compute(&self, name: &str) -> String {
        format!("{}/computes/{name}", self.id())
    }

    /// The Workspace object, which looks at Azure that often.
    pub fn object(&self, namespace: &str, interval: &str) -> Value {
        let spec = json!({
            "subscriptionId": self.subscription, "resourceGroup": demo::RESOURCE_GROUP, "azureName": self.workspace,
            "credentialRef": {"name": CREDENTIAL}, "observeInterval": interval,
        });
        object("Workspace", namespace, &self.workspace, spec)
    }

    /// A cluster's object in it.
    pub fn cluster(&self, namespace: &str, name: &str) -> Value {
        let spec = json!({"workspaceRef": {"name": self.workspace}, "vmSize": VM_SIZE, "scale": {"maxNodes": 1}});
        object("ComputeCluster", namespace, name, spec)
    }
}

fn object(kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    let metadata = json!({"name": name, "namespace": namespace});
    json!({"apiVersion": "azureml.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// Several objects as one document.
pub fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// Writes a world with these workspaces, cores for as many clusters as a region takes, and these limits.
///
/// # Errors
/// If the file can't be written.
pub fn world(path: &Path, sites: &[Site], limits: Limits) -> Result<PathBuf> {
    let unique = |of: fn(&Site) -> &str| {
        let mut all: Vec<&str> = sites.iter().map(of).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let subscriptions = unique(|site| &site.subscription);
    let regions = unique(|site| &site.region);
    let bucket = |bucket: Bucket| json!({"size": bucket.size, "perSecond": bucket.per_second});
    let world = json!({
        "subscriptions": subscriptions.iter().map(|id| json!({"id": id, "tenant": demo::TENANT})).collect::<Vec<_>>(),
        "regions": regions.iter().map(|name| json!({
            "name": name, "sizes": [VM_SIZE], "defaultFamilyQuota": 1_000_000, "computes": 2500,
        })).collect::<Vec<_>>(),
        "resourceGroups": subscriptions.iter().map(|id| json!({
            "subscription": id, "name": demo::RESOURCE_GROUP, "location": regions.first(),
        })).collect::<Vec<_>>(),
        "workspaces": sites.iter().map(|site| json!({
            "subscription": site.subscription, "resourceGroup": demo::RESOURCE_GROUP,
            "name": site.workspace, "location": site.region,
        })).collect::<Vec<_>>(),
        "principals": [{
            "clientId": demo::CLIENT, "tenant": demo::TENANT, "name": "fleet", "secret": demo::CLIENT_SECRET,
            "roles": subscriptions.iter().map(|id| json!({
                "scope": format!("/subscriptions/{id}"), "role": "Contributor",
            })).collect::<Vec<_>>(),
        }],
        "throttle": {
            "reads": bucket(limits.reads), "writes": bucket(limits.writes), "deletes": bucket(limits.writes),
        },
    });
    std::fs::write(path, world.to_string()).map_err(Error::io(format!("write {}", path.display())))?;
    Ok(path.to_path_buf())
}
