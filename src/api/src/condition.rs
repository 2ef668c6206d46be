//! Conditions: their types, their reasons, and the table that turns a situation into them (kstatus conventions).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// Types of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// The Azure side works as the manifest says.
    Ready,
    /// Azure equals the manifest, autoscaling aside.
    InSync,
    /// The operator or Azure is at work, or will try again by itself. Exists only while True.
    Reconciling,
    /// Nothing will change until a person does something. Exists only while True.
    Stalled,
    /// `spec.paused` is set. Exists only while True.
    Paused,
    /// A plan waits for its approval. Exists only while True.
    AwaitingApproval,
    /// A right is missing that isn't needed for the work itself: something is told late or less precisely. On Workspaces;
    /// exists only while True.
    Limited,
}

impl ConditionType {
    /// As it stands in a condition's `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::InSync => "InSync",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Paused => "Paused",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::Limited => "Limited",
        }
    }
}

macro_rules! reasons {
    ($($name:ident: $cause:literal, $cure:literal;)*) => {
        /// Why a condition is as it is. The whole list, with cause and cure, is in the reference.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $cause] $name,)*
        }

        impl Reason {
            /// Every reason, in the order of the reference.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// As it stands in a condition's `reason`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The reason that stands in a condition; `None` for one that another release wrote.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
            }

            /// What it means.
            pub const fn cause(self) -> &'static str {
                match self { $(Self::$name => $cause,)* }
            }

            /// What a person does about it.
            pub const fn cure(self) -> &'static str {
                match self { $(Self::$name => $cure,)* }
            }
        }
    };
}

reasons! {
    Available: "Azure has the resource and it is provisioned.", "Nothing to do.";
    AsPlanned: "Azure equals the manifest.", "Nothing to do.";
    Pending: "The object was just seen and Azure has not been looked at yet.", "Wait.";
    Creating: "The resource is being created.", "Wait; creation takes minutes.";
    Updating: "A change is being made in Azure.", "Wait.";
    Deleting: "The resource is being deleted in Azure.", "Wait; the object goes when Azure has proven the resource gone.";
    WaitingForAzure: "Azure is at work on the resource, by somebody else's doing or ours.", "Wait; the object goes on when Azure has finished.";
    WaitingForBudget: "The write waits its turn: Azure Resource Manager's request limits bind.", "Wait. Fewer changes at once, or another service principal, shorten it.";
    Verifying: "An earlier write may or may not have reached Azure; its outcome is being found out before anything is written again.", "Wait; it takes about a minute.";
    OperationOverdue: "Azure has been at work far longer than usual.", "Look at the resource in Azure. If it hangs, delete it there or open a support request.";
    OperationFailed: "Azure accepted the write and then failed it.", "Read the message: it holds Azure's words. It is tried again, ever more slowly.";
    QuotaExceeded: "The subscription's or workspace's quota has no room for the nodes.", "Ask for more quota in the Azure portal, free some, or choose another size or region. It is tried again by itself.";
    CapacityUnavailable: "The region has no free machines of that size now.", "Wait, or choose another size or region. It is tried again by itself.";
    WorkspaceNotFound: "spec.workspaceRef names a Workspace object that does not exist.", "Create the Workspace object, or correct the reference by making the object anew.";
    WorkspaceNotReady: "The Workspace object can't be read, or is being deleted.", "See the Workspace's own conditions.";
    WorkspaceNotAllowed: "The Workspace is in another namespace and does not let this one in.", "Set allowedNamespaces on the Workspace.";
    WorkspaceMissingInAzure: "The workspace does not exist in Azure.", "Create it in Azure again, or correct subscriptionId, resourceGroup and azureName.";
    WorkspaceChanged: "The Workspace object points to another workspace in Azure than the one that this object's resource lives in.", "Point the Workspace back, or delete this object (its Azure side is handled where it lives).";
    SecretNotFound: "A Secret that the manifest names, or a key in it, does not exist.", "Create the Secret in the object's namespace with the keys that the message names.";
    KubernetesForbidden: "The operator's service account may not read or hold what the manifest names.", "Grant it what the message names (deploy/base has the whole list).";
    CredentialMissing: "No credential is named, and the operator's own identity is not allowed for this namespace.", "Set credentialRef on the Workspace, or start the operator with --default-identity-namespaces.";
    CredentialRejected: "Microsoft Entra or Azure Resource Manager refuses the credential.", "Read the message: renew the secret, or correct tenant and client id. The Secret is read again every interval.";
    Forbidden: "The credential may not do what is needed.", "Give its principal the action and scope that the message names.";
    AccessToLinkedResourceDenied: "The credential may not use another resource that this one links to, such as a subnet or an identity.", "Give its principal the action on the scope that the message names.";
    SubscriptionNotFound: "Azure knows no such subscription in the credential's tenant.", "Correct subscriptionId, or the credential's tenant.";
    ScopeLocked: "A lock in Azure forbids the write.", "Remove the lock that the message names; it is tried again by itself.";
    PolicyDenied: "Azure Policy forbids the resource as the manifest has it.", "Change the manifest to what the named policies allow, or have them changed.";
    InvalidManifest: "The manifest can not be carried out as it is.", "Read the message; it names the field.";
    InvalidName: "Azure does not allow the name.", "Set spec.azureName by making the object anew under an allowed name.";
    VmSizeNotAvailable: "The region does not offer the VM size.", "Choose a size that the region offers; the message names the nearest.";
    FieldNotSupported: "The cloud offers an older api-version of Azure Machine Learning, which doesn't have a field that the manifest sets.", "Leave out the field that the message names, or use a cloud that has it.";
    ApiVersionNotOffered: "The cloud offers no api-version of Azure Machine Learning that the operator speaks.", "Use a release of the operator that speaks one of those that the message names.";
    RejectedByAzure: "Azure refuses the request as it is.", "Read the message: it holds Azure's words. Change the manifest.";
    NameClaimed: "An older object in the cluster stands for the same Azure resource.", "Delete one of the two objects; this one touches nothing in Azure.";
    NotOwned: "Azure already has a resource of that name that this object does not own.", "Set adoptionPolicy: Adopt to take it over, or choose another azureName.";
    OwnedByAnother: "The resource carries another owner's tag.", "Let that owner release it, or confirm with the annotation azureml.dev/take-over-from.";
    NameUnavailable: "Azure says that the name is taken or not allowed.", "Choose another azureName.";
    ReplacementRequired: "A field changed that Azure can not change in place.", "Set the field back to what Azure has, or delete the object and create it again.";
    SecretWouldBeLost: "Updating the resource would wipe a secret in Azure that the manifest does not hold.", "Give the secret in the manifest, or make the change in Azure by hand.";
    DeletionProtected: "spec.deletionProtection holds the deletion.", "Set deletionProtection: false to let it go.";
    InUse: "Other objects still use this one.", "Delete the objects that the message names first, or wait for them.";
    NotInAzure: "The resource does not exist in Azure, and the policies forbid creating it.", "Create it in Azure, or set managementPolicy: Manage or driftPolicy: Correct.";
    ProvisioningFailed: "The resource exists in Azure in a failed state.", "Read the message: it holds Azure's words.";
    Drifted: "Somebody else changed the resource in Azure.", "Nothing under driftPolicy Correct. Under Report: change the manifest or Azure.";
    NotHonoured: "Azure accepted the value and keeps another.", "Change the manifest to what Azure keeps; the message names both values.";
    Throttled: "Azure asks to slow down.", "Wait; it is tried again by itself.";
    AzureUnavailable: "Azure does not answer as it should.", "Wait; it is tried again by itself. See Azure's status page if it lasts.";
    ObservationStale: "Azure has not been seen for more than three intervals.", "Read the message for the last error.";
    Unobserved: "What Azure has is not known.", "See the Ready condition.";
    Undecodable: "The stored object does not have the shape of its kind.", "Read the message, correct the object and apply it again.";
    Paused: "spec.paused is set: nothing is written to Azure.", "Set paused: false to go on.";
    AwaitingApproval: "applyPolicy is Approved and the plan's hash is not approved.", "Read status.plan, then set the annotation azureml.dev/approve to its hash.";
}

/// A condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It doesn't.
    False,
    /// It isn't known.
    Unknown,
}

impl Truth {
    /// As it stands in a condition's `status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }

    /// From a condition's `status`.
    pub fn parse(text: &str) -> Self {
        match text {
            "True" => Self::True,
            "False" => Self::False,
            _ => Self::Unknown,
        }
    }
}

/// One condition to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub condition: ConditionType,
    /// How it stands.
    pub truth: Truth,
    /// Why.
    pub reason: Reason,
    /// In words, for people.
    pub message: String,
}

/// Lays the wanted conditions over the old ones: those not wanted go, the transition time moves only when the status
/// does. Messages are cut at 1,024 characters.
pub fn merge(old: &[Condition], wanted: &[Wanted], generation: i64, now: Timestamp) -> Vec<Condition> {
    let one = |want: &Wanted| {
        let previous = old.iter().find(|c| c.type_ == want.condition.as_str() && c.status == want.truth.as_str());
        Condition {
            type_: want.condition.as_str().to_owned(),
            status: want.truth.as_str().to_owned(),
            reason: want.reason.as_str().to_owned(),
            message: want.message.chars().take(1024).collect(),
            observed_generation: Some(generation),
            last_transition_time: previous.map_or_else(|| whole_second(now), |c| c.last_transition_time.clone()),
        }
    };
    wanted.iter().map(one).collect()
}

/// Kubernetes keeps times in whole seconds; a finer one would look changed when it is read back.
pub fn whole_second(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(truth: Truth, reason: Reason) -> Wanted {
        Wanted { condition: ConditionType::Ready, truth, reason, message: "m".to_owned() }
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let first = merge(&[], &[want(Truth::False, Reason::Creating)], 1, at(10));
        let same = merge(&first, &[want(Truth::False, Reason::Updating)], 2, at(20));
        assert_eq!(same[0].last_transition_time, first[0].last_transition_time);
        assert_eq!((same[0].observed_generation, same[0].reason.as_str()), (Some(2), "Updating"));
        let moved = merge(&same, &[want(Truth::True, Reason::Available)], 2, at(30));
        assert_eq!(moved[0].last_transition_time.0, at(30));
        assert!(merge(&moved, &[], 2, at(40)).is_empty());
    }

    #[test]
    fn reasons_are_camel_case_and_explained() {
        for reason in Reason::ALL {
            assert!(reason.as_str().chars().next().unwrap().is_ascii_uppercase());
            assert!(reason.cause().ends_with('.') && reason.cure().ends_with('.'), "{reason:?}");
        }
    }
}
