//! The columns: the steps of a cluster's life at which a request can fail.

use azureml_tests::sim::demo;
use serde_json::{Value, json};

/// A step: which request it is, and what leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The very first list of computes.
    FirstList,
    /// The workspace's own properties.
    Workspace,
    /// The region's VM sizes.
    Sizes,
    /// The read right before the creation.
    ReadBeforeCreate,
    Create,
    /// The list while the creation is under way.
    ListCreating,
    /// The list while nothing is to do.
    ListAtRest,
    /// Its second page.
    SecondPage,
    ReadBeforePatch,
    Patch,
    ListPatching,
    ReadBeforePut,
    /// The update by PUT.
    Put,
    ReadBeforeDelete,
    Delete,
    ListDeleting,
    /// The read that proves the cluster gone.
    ReadGone,
    /// The read that shows that the workspace isn't.
    WorkspaceGone,
    /// The read that shows that the credential would see the workspace, where that isn't there.
    Subscription,
    /// The operation's own URL.
    Operation,
    /// The first token.
    Token,
}

/// What a request is good for: failures of one family are told alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// What Azure has, for all objects of a workspace.
    Look,
    /// A region's sizes: nice to know.
    Hint,
    /// The read on which a write is decided.
    Before,
    Write,
    /// Whether the deletion has ended.
    Proof,
    /// How an operation ended.
    Detail,
    Token,
}

/// What the object is asked for when the step comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Create,
    Nothing,
    Patch,
    Put,
    Delete,
}

impl Step {
    pub const ALL: [Self; 21] = [
        Self::FirstList,
        Self::Workspace,
        Self::Sizes,
        Self::ReadBeforeCreate,
        Self::Create,
        Self::ListCreating,
        Self::ListAtRest,
        Self::SecondPage,
        Self::ReadBeforePatch,
        Self::Patch,
        Self::ListPatching,
        Self::ReadBeforePut,
        Self::Put,
        Self::ReadBeforeDelete,
        Self::Delete,
        Self::ListDeleting,
        Self::ReadGone,
        Self::WorkspaceGone,
        Self::Subscription,
        Self::Operation,
        Self::Token,
    ];

    pub fn family(self) -> Family {
        match self {
            Self::FirstList
            | Self::Workspace
            | Self::ListCreating
            | Self::ListAtRest
            | Self::SecondPage
            | Self::ListPatching => Family::Look,
            Self::Sizes => Family::Hint,
            Self::ReadBeforeCreate | Self::ReadBeforePatch | Self::ReadBeforePut | Self::ReadBeforeDelete => {
                Family::Before
            }
            Self::Create | Self::Patch | Self::Put | Self::Delete => Family::Write,
            Self::ListDeleting | Self::ReadGone | Self::WorkspaceGone | Self::Subscription => Family::Proof,
            Self::Operation => Family::Detail,
            Self::Token => Family::Token,
        }
    }

    pub fn wish(self) -> Wish {
        match self {
            Self::FirstList
            | Self::Workspace
            | Self::Sizes
            | Self::ReadBeforeCreate
            | Self::Create
            | Self::ListCreating
            | Self::Token => Wish::Create,
            Self::ListAtRest | Self::SecondPage => Wish::Nothing,
            Self::ReadBeforePatch | Self::Patch | Self::ListPatching | Self::Operation => Wish::Patch,
            Self::ReadBeforePut | Self::Put => Wish::Put,
            Self::ReadBeforeDelete
            | Self::Delete
            | Self::ListDeleting
            | Self::ReadGone
            | Self::WorkspaceGone
            | Self::Subscription => Wish::Delete,
        }
    }

    /// Method and end of the path of the request.
    pub fn request(self, workspace: &str) -> (&'static str, String) {
        let path = match self {
            Self::FirstList
            | Self::ListCreating
            | Self::ListAtRest
            | Self::SecondPage
            | Self::ListPatching
            | Self::ListDeleting => format!("/{workspace}/computes"),
            Self::Workspace | Self::WorkspaceGone => format!("/workspaces/{workspace}"),
            Self::Subscription => format!("/subscriptions/{}", demo::SUBSCRIPTION),
            Self::Sizes => "/vmSizes".to_string(),
            Self::Operation => String::new(),
            Self::Token => "/token".to_string(),
            _ => format!("/{workspace}/computes/gpu"),
        };
        let method = match self {
            Self::Create | Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Token => "POST",
            _ => "GET",
        };
        (method, path)
    }

    /// Whether it is a list of computes.
    pub fn is_list(self) -> bool {
        matches!(
            self,
            Self::FirstList
                | Self::ListCreating
                | Self::ListAtRest
                | Self::SecondPage
                | Self::ListPatching
                | Self::ListDeleting
        )
    }

    /// The request after which the step's own are meant.
    pub fn after(self) -> Option<&'static str> {
        match self {
            Self::ListCreating => Some("PUT"),
            Self::ListPatching => Some("PATCH"),
            Self::ListDeleting | Self::ReadGone | Self::WorkspaceGone => Some("DELETE"),
            _ => None,
        }
    }

    /// The match of azure-sim's rule.
    pub fn matches(self, workspace: &str, principal: &str) -> Value {
        let (method, path) = self.request(workspace);
        let mut matches = json!({"method": method, "pathEnds": path, "principal": principal});
        match self {
            Self::SecondPage => matches["queryContains"] = json!("skip="),
            Self::Operation => matches["pathContains"] = json!("/computeOperationsStatus/"),
            Self::Token => matches["pathContains"] = json!("/oauth2/"),
            _ => {}
        }
        if let Some(method) = self.after() {
            matches["after"] =
                json!({"method": method, "pathEnds": format!("/{workspace}/computes/gpu"), "principal": principal});
        }
        matches
    }

    /// Whether a request of the log is one of the step's.
    pub fn is_it(self, request: &super::log::Entry, workspace: &str) -> bool {
        let (method, path) = self.request(workspace);
        let path = path.to_lowercase();
        let asked = request.path.to_lowercase();
        request.method == method
            && asked.ends_with(&path)
            && match self {
                Self::SecondPage => request.query.to_lowercase().contains("skip="),
                Self::Operation => asked.contains("/computeoperationsstatus/"),
                _ => true,
            }
    }
}
