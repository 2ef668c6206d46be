//! The fields of every body that this provider takes, from the public specification (2025-12-01).

use super::schema::{Field, Kind, Kind::*, opt, req, ro};

/// `sku` of a resource.
pub const SKU: Kind = Object(
    "Sku",
    &[req("name", Text), opt("tier", Text), opt("size", Text), opt("family", Text), opt("capacity", Whole)],
);

const USER_IDENTITY: Kind = Object("UserAssignedIdentity", &[ro("principalId"), ro("clientId")]);

/// `identity` of a resource.
pub const IDENTITY: Kind = Object(
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

/// A reference to a resource.
pub const ID_ONLY: Kind = Object("ResourceId", &[req("id", Text)]);

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

/// A compute around the properties of its type: the type's name, for messages, and their table.
macro_rules! compute_resource {
    ($kind:literal, $inner:expr) => {{
        use $crate::ml::schema::{Kind::*, opt, req, ro};
        Object(
            "ComputeResource",
            &[
                ro("id"),
                ro("name"),
                ro("type"),
                ro("systemData"),
                opt("location", Text),
                opt("tags", Texts),
                opt("sku", $crate::ml::tables::SKU),
                opt("identity", $crate::ml::tables::IDENTITY),
                req(
                    "properties",
                    Object(
                        $kind,
                        &[
                            req("computeType", Text),
                            opt("computeLocation", Text),
                            opt("description", Text),
                            opt("resourceId", Text),
                            opt("disableLocalAuth", Truth),
                            opt("properties", $inner),
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
        )
    }};
}
pub(crate) use compute_resource;

/// PUT of a compute of type AmlCompute.
pub const COMPUTE: Kind = compute_resource!("AmlCompute", AML_COMPUTE);

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

const ENCRYPTION: Kind = Object(
    "EncryptionProperty",
    &[
        req("status", OneOf(&["Enabled", "Disabled"])),
        opt("identity", Object("IdentityForCmk", &[opt("userAssignedIdentity", Text)])),
        req(
            "keyVaultProperties",
            Object(
                "KeyVaultProperties",
                &[opt("identityClientId", Text), req("keyIdentifier", Text), req("keyVaultArmId", Text)],
            ),
        ),
        opt("cosmosDbResourceId", Text),
        opt("searchAccountResourceId", Text),
        opt("storageAccountResourceId", Text),
    ],
);

const ENCRYPTION_PATCH: Kind = Object(
    "EncryptionUpdateProperties",
    &[req("keyVaultProperties", Object("EncryptionKeyVaultUpdateProperties", &[req("keyIdentifier", Text)]))],
);

const FEATURE_STORE: Kind = Object(
    "FeatureStoreSettings",
    &[
        opt("computeRuntime", Object("ComputeRuntimeDto", &[opt("sparkRuntimeVersion", Text)])),
        opt("offlineStoreConnectionName", Text),
        opt("onlineStoreConnectionName", Text),
    ],
);

const RULE_STATUS: Kind = OneOf(&["Inactive", "Active", "Provisioning", "Deleting", "Failed"]);

const OUTBOUND_RULE: Kind = Object(
    "OutboundRule",
    &[
        req("type", OneOf(&["FQDN", "PrivateEndpoint", "ServiceTag"])),
        opt("category", OneOf(&["Required", "Recommended", "UserDefined", "Dependency"])),
        opt("status", RULE_STATUS),
        ro("errorInformation"),
        ro("parentRuleNames"),
        // Its kind hangs on the type, and is checked after this.
        opt("destination", Any),
        opt("fqdns", List(&Text)),
    ],
);

/// `destination` of an outbound rule to a private endpoint.
pub const PRIVATE_ENDPOINT: Kind = Object(
    "PrivateEndpointDestination",
    &[
        req("serviceResourceId", Text),
        opt("sparkEnabled", Truth),
        opt("sparkStatus", RULE_STATUS),
        opt("subresourceTarget", Text),
    ],
);

/// `destination` of an outbound rule to a service tag.
pub const SERVICE_TAG: Kind = Object(
    "ServiceTagDestination",
    &[
        opt("action", OneOf(&["Allow", "Deny"])),
        opt("addressPrefixes", List(&Text)),
        opt("portRanges", Text),
        opt("protocol", Text),
        opt("serviceTag", Text),
    ],
);

const MANAGED_NETWORK: Kind = Object(
    "ManagedNetworkSettings",
    &[
        opt("enableNetworkMonitor", Truth),
        opt("isolationMode", OneOf(&["Disabled", "AllowInternetOutbound", "AllowOnlyApprovedOutbound"])),
        ro("networkId"),
        opt("outboundRules", Dict(&OUTBOUND_RULE)),
        opt(
            "status",
            Object(
                "ManagedNetworkProvisionStatus",
                &[opt("sparkReady", Truth), opt("status", OneOf(&["Inactive", "Active"]))],
            ),
        ),
        opt("firewallSku", OneOf(&["Standard", "Basic"])),
        opt("managedNetworkKind", OneOf(&["V1", "V2"])),
        ro("firewallPublicIpAddress"),
    ],
);

const SERVERLESS: Kind = Object(
    "ServerlessComputeSettings",
    &[opt("serverlessComputeCustomSubnet", Text), opt("serverlessComputeNoPublicIP", Truth)],
);

const MANAGED_RESOURCES: Kind = Object(
    "ServiceManagedResourcesSettings",
    &[opt("cosmosDb", Object("CosmosDbSettings", &[opt("collectionsThroughput", Whole)]))],
);

const SHARED_LINK: Kind = Object(
    "SharedPrivateLinkResource",
    &[
        opt("name", Text),
        opt(
            "properties",
            Object(
                "SharedPrivateLinkResourceProperty",
                &[
                    opt("groupId", Text),
                    opt("privateLinkResourceId", Text),
                    opt("requestMessage", Text),
                    opt("status", OneOf(&["Approved", "Pending", "Rejected", "Disconnected", "Timeout"])),
                ],
            ),
        ),
    ],
);

const HUB_CONFIG: Kind = Object(
    "WorkspaceHubConfig",
    &[opt("additionalWorkspaceStorageAccounts", List(&Text)), opt("defaultWorkspaceResourceGroup", Text)],
);

/// POST provisionManagedNetwork of a workspace.
pub const PROVISION_NETWORK: Kind = Object("ManagedNetworkProvisionOptions", &[opt("includeSpark", Truth)]);

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
    opt("encryption", ENCRYPTION),
    opt("featureStoreSettings", FEATURE_STORE),
    opt("friendlyName", Text),
    opt("hbiWorkspace", Truth),
    opt("hubResourceId", Text),
    opt("imageBuildCompute", Text),
    opt("keyVault", Text),
    opt("managedNetwork", MANAGED_NETWORK),
    ro("mlFlowTrackingUri"),
    ro("notebookInfo"),
    opt("primaryUserAssignedIdentity", Text),
    ro("privateEndpointConnections"),
    ro("privateLinkCount"),
    opt("provisionNetworkNow", Truth),
    ro("provisioningState"),
    opt("publicNetworkAccess", OneOf(&["Enabled", "Disabled"])),
    opt("serverlessComputeSettings", SERVERLESS),
    opt("serviceManagedResourcesSettings", MANAGED_RESOURCES),
    ro("serviceProvisionedResourceGroup"),
    opt("sharedPrivateLinkResources", List(&SHARED_LINK)),
    opt("storageAccount", Text),
    ro("storageHnsEnabled"),
    opt("systemDatastoresAuthMode", OneOf(&["AccessKey", "Identity", "UserDelegationSAS"])),
    ro("tenantId"),
    opt("v1LegacyMode", Truth),
    opt("workspaceHubConfig", HUB_CONFIG),
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
                    opt("encryption", ENCRYPTION_PATCH),
                    opt("featureStoreSettings", FEATURE_STORE),
                    opt("friendlyName", Text),
                    opt("imageBuildCompute", Text),
                    opt("managedNetwork", MANAGED_NETWORK),
                    opt("primaryUserAssignedIdentity", Text),
                    opt("publicNetworkAccess", OneOf(&["Enabled", "Disabled"])),
                    opt("serverlessComputeSettings", SERVERLESS),
                    opt("serviceManagedResourcesSettings", MANAGED_RESOURCES),
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
