//! What a path means. Names keep the client's writing; fixed segments have no case.

use super::refusal::{Outcome, Refusal};
use crate::scope::{self, ML};

/// A path understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Subscription guid as written; empty at tenant level.
    pub sub: String,
    /// Resource group as written; empty above groups.
    pub group: String,
    /// What it addresses.
    pub target: Target,
}

/// What a path addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/subscriptions`
    Subscriptions,
    /// `/subscriptions/{s}`
    Subscription,
    /// `/providers/{ns}` or the same under a subscription.
    Provider(String),
    /// `/subscriptions/{s}/resourcegroups`
    Groups,
    /// One resource group.
    Group,
    /// `/subscriptions/{s}/operationresults/{token}`
    GroupOperation(String),
    /// Workspaces of a group, or of the subscription.
    Workspaces,
    /// One workspace.
    Workspace(String),
    /// POST on a workspace: action.
    WorkspaceAction(String, String),
    /// Computes of a workspace.
    Computes(String),
    /// One compute: workspace, name.
    Compute(String, String),
    /// POST on a compute: workspace, name, action.
    ComputeAction(String, String, String),
    /// Jobs of a workspace.
    Jobs(String),
    /// One job.
    Job(String, String),
    /// POST on a job: workspace, name, action.
    JobAction(String, String, String),
    /// `…/locations/{region}/{kind}`: region, what.
    Location(String, Regional),
    /// `…/locations/{region}/{type}/{guid}`: region, type, guid.
    Operation(String, String, String),
}

/// What a region tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regional {
    /// usages
    Usages,
    /// vmSizes
    VmSizes,
    /// quotas
    Quotas,
    /// updateQuotas
    UpdateQuotas,
}

impl Regional {
    /// As in paths and actions.
    pub fn text(self) -> &'static str {
        match self {
            Self::Usages => "usages",
            Self::VmSizes => "vmSizes",
            Self::Quotas => "quotas",
            Self::UpdateQuotas => "updateQuotas",
        }
    }
}

/// Operation collections under a region.
const OPERATIONS: &[&str] = &[
    "computeOperationsStatus",
    "computeOperationsResults",
    "workspaceOperationsStatus",
    "workspaceOperationsResults",
    "mfeOperationsStatus",
    "mfeOperationResults",
];

impl Route {
    /// Understand `path` (decoded).
    ///
    /// # Errors
    /// 404 in ARM's words for a namespace, type or path that isn't served.
    pub fn parse(path: &str, version: &str) -> Outcome<Self> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let lower: Vec<String> = segments.iter().map(|s| s.to_ascii_lowercase()).collect();
        let words: Vec<&str> = lower.iter().map(String::as_str).collect();
        let text = |i: usize| segments[i].to_string();
        let at = |sub: usize, target| Self {
            sub: if sub == 0 { String::new() } else { text(sub) },
            group: String::new(),
            target,
        };
        match words.as_slice() {
            ["subscriptions"] => Ok(at(0, Target::Subscriptions)),
            ["subscriptions", _] => Ok(at(1, Target::Subscription)),
            ["providers", _] => Ok(at(0, Target::Provider(text(1)))),
            ["subscriptions", _, "providers", _] => Ok(at(1, Target::Provider(text(3)))),
            ["subscriptions", _, "resourcegroups"] => Ok(at(1, Target::Groups)),
            ["subscriptions", _, "operationresults", _] => Ok(at(1, Target::GroupOperation(text(3)))),
            ["subscriptions", _, "resourcegroups", _] => Ok(Self { group: text(3), ..at(1, Target::Group) }),
            ["subscriptions", _, "providers", ns, rest @ ..] => {
                machine_learning(ns, segments[3])?;
                let target = subscription_level(rest, &segments[4..]).ok_or_else(|| no_type(rest, version))?;
                Ok(at(1, target))
            }
            ["subscriptions", _, "resourcegroups", _, "providers", ns, rest @ ..] => {
                machine_learning(ns, segments[5])?;
                let target = group_level(rest, &segments[6..]).ok_or_else(|| no_type(rest, version))?;
                Ok(Self { group: text(3), ..at(1, target) })
            }
            _ => Err(Refusal::arm(
                404,
                "ResourceNotFound",
                format!("The path '{path}' is not one that Azure Resource Manager serves."),
            )),
        }
    }

    /// Verbs that the target answers.
    pub fn verbs(&self) -> &'static [&'static str] {
        match &self.target {
            Target::Group => &["GET", "HEAD", "PUT", "PATCH", "DELETE"],
            Target::Workspace(_) | Target::Compute(..) => &["GET", "PUT", "PATCH", "DELETE"],
            Target::Job(..) => &["GET", "PUT", "DELETE"],
            Target::WorkspaceAction(..)
            | Target::ComputeAction(..)
            | Target::JobAction(..)
            | Target::Location(_, Regional::UpdateQuotas) => &["POST"],
            _ => &["GET"],
        }
    }

    /// The type for messages, below the namespace.
    pub fn kind(&self) -> &'static str {
        match &self.target {
            Target::Workspaces | Target::Workspace(_) | Target::WorkspaceAction(..) => "workspaces",
            Target::Computes(_) | Target::Compute(..) | Target::ComputeAction(..) => "workspaces/computes",
            Target::Jobs(_) | Target::Job(..) | Target::JobAction(..) => "workspaces/jobs",
            Target::Location(_, Regional::Usages) => "locations/usages",
            Target::Location(_, Regional::VmSizes) => "locations/vmSizes",
            Target::Location(_, Regional::Quotas) => "locations/quotas",
            Target::Location(_, Regional::UpdateQuotas) => "locations/updateQuotas",
            Target::Operation(..) => "locations/computeOperationsStatus",
            _ => "resourceGroups",
        }
    }

    /// Served by the Machine Learning provider rather than by ARM itself.
    pub fn is_machine_learning(&self) -> bool {
        !matches!(
            self.target,
            Target::Subscriptions
                | Target::Subscription
                | Target::Provider(_)
                | Target::Groups
                | Target::Group
                | Target::GroupOperation(_)
        )
    }

    /// The ARM id that it addresses, actions left off.
    pub fn id(&self) -> String {
        let workspace = |ws: &String| scope::workspace_id(&self.sub, &self.group, ws);
        match &self.target {
            Target::Subscriptions | Target::Provider(_) if self.sub.is_empty() => "/".into(),
            Target::Group => scope::group_id(&self.sub, &self.group),
            Target::Workspaces if !self.group.is_empty() => scope::group_id(&self.sub, &self.group),
            Target::Workspace(ws) | Target::WorkspaceAction(ws, _) | Target::Computes(ws) | Target::Jobs(ws) => {
                workspace(ws)
            }
            Target::Compute(ws, name) | Target::ComputeAction(ws, name, _) => {
                format!("{}/computes/{name}", workspace(ws))
            }
            Target::Job(ws, name) | Target::JobAction(ws, name, _) => format!("{}/jobs/{name}", workspace(ws)),
            _ => format!("/subscriptions/{}", self.sub),
        }
    }

    /// The workspace's ARM id, where the target lies in one.
    pub fn workspace(&self) -> Option<String> {
        match &self.target {
            Target::Workspace(ws)
            | Target::WorkspaceAction(ws, _)
            | Target::Computes(ws)
            | Target::Compute(ws, _)
            | Target::ComputeAction(ws, ..)
            | Target::Jobs(ws)
            | Target::Job(ws, _)
            | Target::JobAction(ws, ..) => Some(scope::workspace_id(&self.sub, &self.group, ws)),
            _ => None,
        }
    }

    /// The action that `method` on this target needs.
    pub fn action(&self, method: &str) -> String {
        let verb = match method {
            "GET" | "HEAD" => "read",
            "DELETE" => "delete",
            _ => "write",
        };
        match &self.target {
            Target::Subscriptions | Target::Subscription => format!("Microsoft.Resources/subscriptions/{verb}"),
            Target::Provider(_) => "Microsoft.Resources/subscriptions/providers/read".into(),
            Target::GroupOperation(_) => "Microsoft.Resources/subscriptions/operationresults/read".into(),
            Target::Groups | Target::Group => format!("Microsoft.Resources/subscriptions/resourceGroups/{verb}"),
            Target::WorkspaceAction(_, action)
            | Target::ComputeAction(_, _, action)
            | Target::JobAction(_, _, action) => {
                format!("{ML}/{}/{action}/action", self.kind())
            }
            Target::Location(_, Regional::UpdateQuotas) => format!("{ML}/locations/updateQuotas/action"),
            // As Microsoft's list of permissions writes these two.
            Target::Location(_, Regional::VmSizes) => format!("{ML}/locations/vmsizes/read"),
            Target::Operation(_, kind, _) => format!("{ML}/locations/{}/read", operation_action(kind)),
            _ => format!("{ML}/{}/{verb}", self.kind()),
        }
    }
}

fn operation_action(kind: &str) -> &str {
    if kind == "computeOperationsStatus" { "computeoperationsstatus" } else { kind }
}

fn machine_learning(lower: &str, written: &str) -> Outcome<()> {
    if lower == ML.to_ascii_lowercase() {
        return Ok(());
    }
    Err(Refusal::arm(
        404,
        "InvalidResourceNamespace",
        format!("The resource namespace '{written}' is invalid: this Azure serves {ML} and Microsoft.Resources."),
    ))
}

fn subscription_level(words: &[&str], written: &[&str]) -> Option<Target> {
    match words {
        ["workspaces"] => Some(Target::Workspaces),
        ["locations", _, kind] => {
            let regional = [Regional::Usages, Regional::VmSizes, Regional::Quotas, Regional::UpdateQuotas];
            let found = regional.into_iter().find(|r| r.text().eq_ignore_ascii_case(kind))?;
            Some(Target::Location(words[1].into(), found))
        }
        ["locations", _, kind, _] => {
            let found = OPERATIONS.iter().find(|o| o.eq_ignore_ascii_case(kind))?;
            Some(Target::Operation(words[1].into(), (*found).into(), written[3].into()))
        }
        _ => None,
    }
}

fn group_level(words: &[&str], written: &[&str]) -> Option<Target> {
    let text = |i: usize| written[i].to_string();
    Some(match words {
        ["workspaces"] => Target::Workspaces,
        ["workspaces", _] => Target::Workspace(text(1)),
        ["workspaces", _, "computes"] => Target::Computes(text(1)),
        ["workspaces", _, "jobs"] => Target::Jobs(text(1)),
        ["workspaces", _, "listkeys"] => Target::WorkspaceAction(text(1), "listKeys".into()),
        ["workspaces", _, "provisionmanagednetwork"] => {
            Target::WorkspaceAction(text(1), "provisionManagedNetwork".into())
        }
        ["workspaces", _, "computes", _] => Target::Compute(text(1), text(3)),
        ["workspaces", _, "computes", _, "listnodes"] => Target::ComputeAction(text(1), text(3), "listNodes".into()),
        ["workspaces", _, "computes", _, "listkeys"] => Target::ComputeAction(text(1), text(3), "listKeys".into()),
        ["workspaces", _, "computes", _, "updateidleshutdownsetting"] => {
            Target::ComputeAction(text(1), text(3), "updateIdleShutdownSetting".into())
        }
        ["workspaces", _, "computes", _, action @ ("start" | "stop" | "restart" | "resize")] => {
            Target::ComputeAction(text(1), text(3), (*action).into())
        }
        ["workspaces", _, "jobs", _] => Target::Job(text(1), text(3)),
        ["workspaces", _, "jobs", _, "cancel"] => Target::JobAction(text(1), text(3), "cancel".into()),
        _ => return None,
    })
}

fn no_type(words: &[&str], version: &str) -> Refusal {
    let kind: Vec<&str> = words.iter().step_by(2).copied().collect();
    Refusal::arm(
        404,
        "InvalidResourceType",
        format!(
            "The resource type '{}' could not be found in the namespace '{ML}' for api version '{version}'. The \
             supported api-versions are '{}'.",
            kind.join("/"),
            super::versions::MACHINE_LEARNING.join(",")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_no_case_but_names_keep_theirs() {
        let route = Route::parse(
            "/SUBSCRIPTIONS/S/resourcegroups/Rg/Providers/microsoft.machinelearningservices/WorkSpaces/Ws/Computes/Gpu",
            "",
        )
        .unwrap();
        assert_eq!(route.target, Target::Compute("Ws".into(), "Gpu".into()));
        assert_eq!(
            route.id(),
            "/subscriptions/S/resourceGroups/Rg/providers/Microsoft.MachineLearningServices/workspaces/Ws/computes/Gpu"
        );
        assert_eq!(route.action("PATCH"), "Microsoft.MachineLearningServices/workspaces/computes/write");
    }

    #[test]
    fn what_is_not_served() {
        for (path, code) in [
            ("/subscriptions/s/providers/Microsoft.Compute/virtualMachines", "InvalidResourceNamespace"),
            ("/subscriptions/s/providers/Microsoft.MachineLearningServices/registries", "InvalidResourceType"),
            ("/nothing", "ResourceNotFound"),
        ] {
            assert_eq!(Route::parse(path, "2025-12-01").unwrap_err().code, code, "{path}");
        }
    }

    #[test]
    fn actions() {
        let base = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w";
        for (path, method, action) in [
            (format!("{base}/listKeys"), "POST", "workspaces/listKeys/action"),
            (format!("{base}/computes/c/listNodes"), "POST", "workspaces/computes/listNodes/action"),
            (format!("{base}/jobs/j/cancel"), "POST", "workspaces/jobs/cancel/action"),
            (format!("{base}/jobs"), "GET", "workspaces/jobs/read"),
        ] {
            let got = Route::parse(&path, "").unwrap().action(method);
            assert_eq!(got, format!("Microsoft.MachineLearningServices/{action}"));
        }
    }
}
