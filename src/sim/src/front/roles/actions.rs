//! The actions that Azure knows, as far as they matter here: a role that names another one is refused, as Azure refuses it.
//!
//! From Microsoft's reference "Azure permissions" (AI + machine learning; management and governance; networking; identity),
//! in its writing. Case doesn't count.

/// Those of Microsoft.MachineLearningServices, below the namespace.
const MACHINE_LEARNING: &[&str] = &[
    "register/action",
    "locations/updateQuotas/action",
    "locations/computeoperationsstatus/read",
    "locations/mfeOperationResults/read",
    "locations/mfeOperationsStatus/read",
    "locations/quotas/read",
    "locations/usages/read",
    "locations/vmsizes/read",
    "locations/workspaceOperationsStatus/read",
    "operations/read",
    "workspaces/checkComputeNameAvailability/action",
    "workspaces/read",
    "workspaces/write",
    "workspaces/delete",
    "workspaces/listKeys/action",
    "workspaces/resynckeys/action",
    "workspaces/listStorageAccountKeys/action",
    "workspaces/provisionManagedNetwork/action",
    "workspaces/computes/read",
    "workspaces/computes/write",
    "workspaces/computes/delete",
    "workspaces/computes/listKeys/action",
    "workspaces/computes/listNodes/action",
    "workspaces/computes/start/action",
    "workspaces/computes/stop/action",
    "workspaces/computes/restart/action",
    "workspaces/computes/updateDataMounts/action",
    "workspaces/computes/updateIdleShutdownSetting/action",
    "workspaces/computes/applicationaccess/action",
    "workspaces/computes/updateSchedules/action",
    "workspaces/computes/applicationaccessuilinks/action",
    "workspaces/computes/reimage/action",
    "workspaces/computes/enableSso/action",
    "workspaces/jobs/read",
    "workspaces/jobs/write",
    "workspaces/jobs/delete",
    "workspaces/jobs/cancel/action",
];

/// Those of other providers, whole.
const OTHERS: &[&str] = &[
    "Microsoft.Resources/subscriptions/read",
    "Microsoft.Resources/subscriptions/locations/read",
    "Microsoft.Resources/subscriptions/operationresults/read",
    "Microsoft.Resources/subscriptions/providers/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.Resources/subscriptions/resourceGroups/write",
    "Microsoft.Resources/subscriptions/resourceGroups/delete",
    "Microsoft.Network/virtualNetworks/read",
    "Microsoft.Network/virtualNetworks/subnets/read",
    "Microsoft.Network/virtualNetworks/subnets/join/action",
    "Microsoft.ManagedIdentity/userAssignedIdentities/read",
    "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
];

/// Whether a role may name it: a known action, or anything with `*`.
pub fn is_known(action: &str) -> bool {
    let of_ours = |rest: &str| MACHINE_LEARNING.iter().any(|known| known.eq_ignore_ascii_case(rest));
    let parts = action.split_once('/');
    action.contains('*')
        || OTHERS.iter().any(|known| known.eq_ignore_ascii_case(action))
        || parts.is_some_and(|(namespace, rest)| namespace.eq_ignore_ascii_case(crate::scope::ML) && of_ours(rest))
}
