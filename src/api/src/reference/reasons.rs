//! The page of condition reasons.

use super::NOTE;
use crate::condition::Reason;

const HEAD: &str = "
# Condition reasons

Each condition has a reason out of this list, and a message with the particulars. `Ready` holds the reason that matters
first:

```sh
kubectl get azureml -A
```

Which conditions there are, and how they stand together: [conditions](../concepts/conditions.md).
";

/// Every condition reason with cause and cure, each under a heading of its own, so that a link can lead to it.
pub fn reasons() -> String {
    let mut page = format!("{NOTE}{HEAD}");
    for reason in Reason::ALL {
        page.push_str(&format!("\n## {}\n\n{} *What to do:* {}", reason.as_str(), reason.cause(), reason.cure()));
        if let Some((title, file)) = more(*reason) {
            page.push_str(&format!(" More: [{title}](../{file})."));
        }
        page.push('\n');
    }
    page
}

/// The page that says more.
const fn more(reason: Reason) -> Option<(&'static str, &'static str)> {
    Some(match reason {
        Reason::QuotaExceeded | Reason::CapacityUnavailable | Reason::VmSizeNotAvailable => {
            ("quotas and capacity", "how-to/quotas.md")
        }
        Reason::NotOwned | Reason::OwnedByAnother => ("adopting what exists", "how-to/adopt.md"),
        Reason::SecretWouldBeLost => ("adopting what exists", "how-to/adopt.md#secrets-that-azure-never-shows"),
        Reason::NameClaimed => ("ownership", "concepts/ownership.md#one-object-for-one-resource"),
        Reason::ReplacementRequired => ("policies", "concepts/policies.md#replacementpolicy"),
        Reason::DeletionProtected | Reason::InUse => ("deletion", "concepts/deletion.md"),
        Reason::Drifted | Reason::NotInAzure => ("policies", "concepts/policies.md#driftpolicy"),
        Reason::AwaitingApproval => ("planning before writing", "concepts/planning.md#plans-that-wait-for-a-person"),
        Reason::Throttled | Reason::WaitingForBudget => ("the request budget", "concepts/budget.md"),
        Reason::Forbidden => ("Azure roles", "roles.md"),
        Reason::AccessToLinkedResourceDenied => ("Azure roles", "roles.md#what-clusters-link-to"),
        Reason::CredentialMissing | Reason::CredentialRejected => ("credentials", "credentials.md"),
        Reason::WorkspaceNotAllowed | Reason::WorkspaceNotFound | Reason::WorkspaceNotReady => {
            ("workspaces", "concepts/compute-targets.md#workspaces")
        }
        Reason::AzureUnavailable => ("private network", "how-to/private-network.md"),
        _ => return None,
    })
}
