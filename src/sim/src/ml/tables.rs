//! The fields of every body that this provider takes, from the public specification (2025-12-01).

use super::schema::{Field, Kind, Kind::*, opt, req, ro};

const SKU: Kind = Object(
    "Sku",
    &[req("name", Text), opt("tier", Text), opt("size", Text), opt("family", Text), opt("capacity", Whole)],
);

const USER_IDENTITY: Kind = Object("UserAssignedIdentity", &[ro("principalId"), ro("clientId")]);

const IDENTITY: Kind = Object(
    "ManagedServiceIdentity",
    &[
        ro("principalId"),
        ro("tenantId"),
        req("type", OneOf(&["None", "SystemAssigned", "UserAssigned", "SystemAssigned,UserAssigned"])),
        opt("userAssignedIdentities", Dict(&USER_IDENTITY)),
    ],
);

const SCALE: Kind = Object(
    "ScaleSettings",
    &[req("maxNodeCount", Whole), opt("minNodeCount", Whole), opt("nodeIdleTimeBeforeScaleDown", Text)],
);

const ID_ONLY: Kind = Object("ResourceId", &[req("id", Text)]);

const AML_COMPUTE: Kind = Object(
    "AmlComputeProperties",
    &[
        opt("osType", OneOf(&["Linux", "Windows"])),
        opt("vmSize", Text),
        opt("vmPriority", OneOf(&["Dedicated", "LowPriority"])),
        opt("virtualMachineImage", Object("VirtualMachineImage", &[req("id", Text)])),
        opt("isolatedNetwork", Truth),
        opt("scaleSettings", SCALE),
        opt(
            "userAccountCredentials",
            Object(
                "UserAccountCredentials",
                &[req("adminUserName", Text), opt("adminUserSshPublicKey", Text), opt("adminUserPassword", Text)],
            ),
        ),
        opt("subnet", ID_ONLY),
        opt("remoteLoginPortPublicAccess", OneOf(&["Enabled", "Disabled", "NotSpecified"])),
        ro("allocationState"),
        ro("allocationStateTransitionTime"),
        ro("errors"),
        ro("currentNodeCount"),
        ro("targetNodeCount"),
        ro("nodeStateCounts"),
        opt("enableNodePublicIp", Truth),
        opt("propertyBag", Any),
    ],
);

/// PUT of a compute of type AmlCompute.
pub const COMPUTE: Kind = Object(
    "ComputeResource",
    &[
        ro("id"),
        ro("name"),
        ro("type"),
        ro("systemData"),
        opt("location", Text),
        opt("tags", Texts),
        opt("sku", SKU),
        opt("identity", IDENTITY),
        req(
            "properties",
            Object(
                "AmlCompute",
                &[
                    req("computeType", Text),
                    opt("computeLocation", Text),
                    opt("description", Text),
                    opt("resourceId", Text),
                    opt("disableLocalAuth", Truth),
                    opt("properties", AML_COMPUTE),
                    ro("provisioningState"),
                    ro("createdOn"),
                    ro("modifiedOn"),
                    ro("provisioningErrors"),
                    ro("provisioningWarnings"),
                    ro("isAttachedCompute"),
                ],
            ),
        ),
    ],
);

/// PATCH of a compute: scale and nothing else.
pub const COMPUTE_PATCH: Kind = Object(
    "ClusterUpdateParameters",
    &[req(
        "properties",
        Object(
            "ClusterUpdateProperties",
            &[req("properties", Object("ScaleSettingsInformation", &[req("scaleSettings", SCALE)]))],
        ),
    )],
);

/// Properties of a workspace that a PUT may carry.
const WORKSPACE_FIELDS: &[Field] = &[
    opt("allowPublicAccessWhenBehindVnet", Truth),
    opt("applicationInsights", Text),
    opt("associatedWorkspaces", List(&Text)),
    opt("containerRegistry", Text),
    opt("description", Text),
    opt("discoveryUrl", Text),
    opt("enableDataIsolation", Truth),
    opt("enableServiceSideCMKEncryption", Truth),
    opt("encryption", Any),
    opt("featureStoreSettings", Any),
    opt("friendlyName", Text),
    opt("hbiWorkspace", Truth),
    opt("hubResourceId", Text),
    opt("imageBuildCompute", Text),
    opt("keyVault", Text),
    opt("managedNetwork", Any),
    ro("mlFlowTrackingUri"),
    ro("notebookInfo"),
    opt("primaryUserAssignedIdentity", Text),
    ro("privateEndpointConnections"),
    ro("privateLinkCount"),
    opt("provisionNetworkNow", Truth),
    ro("provisioningState"),
    opt("publicNetworkAccess", OneOf(&["Enabled", "Disabled"])),
    opt("serverlessComputeSettings", Any),
    opt("serviceManagedResourcesSettings", Any),
    ro("serviceProvisionedResourceGroup"),
    opt("sharedPrivateLinkResources", List(&Any)),
    opt("storageAccount", Text),
    ro("storageHnsEnabled"),
    opt("systemDatastoresAuthMode", Text),
    ro("tenantId"),
    opt("v1LegacyMode", Truth),
    opt("workspaceHubConfig", Any),
    ro("workspaceId"),
];

/// PUT of a workspace.
pub const WORKSPACE: Kind = Object(
    "Workspace",
    &[
        ro("id"),
        ro("name"),
        ro("type"),
        ro("systemData"),
        opt("location", Text),
        opt("tags", Texts),
        opt("kind", Text),
        opt("sku", SKU),
        opt("identity", IDENTITY),
        req("properties", Object("WorkspaceProperties", WORKSPACE_FIELDS)),
    ],
);

/// PATCH of a workspace.
pub const WORKSPACE_PATCH: Kind = Object(
    "WorkspaceUpdateParameters",
    &[
        opt("tags", Texts),
        opt("sku", SKU),
        opt("identity", IDENTITY),
        opt(
            "properties",
            Object(
                "WorkspacePropertiesUpdateParameters",
                &[
                    opt("applicationInsights", Text),
                    opt("containerRegistry", Text),
                    opt("description", Text),
                    opt("enableDataIsolation", Truth),
                    opt("encryption", Any),
                    opt("featureStoreSettings", Any),
                    opt("friendlyName", Text),
                    opt("imageBuildCompute", Text),
                    opt("managedNetwork", Any),
                    opt("primaryUserAssignedIdentity", Text),
                    opt("publicNetworkAccess", OneOf(&["Enabled", "Disabled"])),
                    opt("serverlessComputeSettings", Any),
                    opt("serviceManagedResourcesSettings", Any),
                    opt("v1LegacyMode", Truth),
                ],
            ),
        ),
    ],
);

const LIMITS: Kind =
    Object("CommandJobLimits", &[req("jobLimitsType", OneOf(&["Command", "Sweep"])), opt("timeout", Text)]);

const RESOURCES: Kind = Object(
    "JobResourceConfiguration",
    &[
        opt("dockerArgs", Text),
        opt("dockerArgsList", List(&Text)),
        opt("shmSize", Text),
        opt("instanceCount", Whole),
        opt("instanceType", Text),
        opt("properties", Any),
    ],
);

/// PUT of a command job.
pub const JOB: Kind = Object(
    "JobBase",
    &[
        ro("id"),
        ro("name"),
        ro("type"),
        ro("systemData"),
        req(
            "properties",
            Object(
                "CommandJob",
                &[
                    req("jobType", Text),
                    req("command", Text),
                    req("environmentId", Text),
                    opt("codeId", Text),
                    opt("componentId", Text),
                    opt("computeId", Text),
                    opt("description", Text),
                    opt("displayName", Text),
                    opt("distribution", Any),
                    opt("environmentVariables", Texts),
                    opt("experimentName", Text),
                    opt("identity", Any),
                    opt("inputs", Any),
                    opt("isArchived", Truth),
                    opt("limits", LIMITS),
                    opt("notificationSetting", Any),
                    opt("outputs", Any),
                    opt("properties", Texts),
                    opt("queueSettings", Object("QueueSettings", &[opt("jobTier", Text)])),
                    opt("resources", RESOURCES),
                    opt("services", Any),
                    opt("tags", Texts),
                    ro("parameters"),
                    ro("status"),
                ],
            ),
        ),
    ],
);

/// POST updateQuotas.
pub const QUOTA_UPDATE: Kind = Object(
    "QuotaUpdateParameters",
    &[
        opt("location", Text),
        req(
            "value",
            List(&Object(
                "QuotaBaseProperties",
                &[req("id", Text), req("type", Text), req("limit", Whole), opt("unit", OneOf(&["Count"]))],
            )),
        ),
    ],
);
