package contract

import (
	"reflect"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	ml "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/machinelearning/armmachinelearning/v4"
)

// everyWorkspaceField is a workspace with every field set that a client may write.
func everyWorkspaceField() ml.Workspace {
	trainer := outside("Microsoft.ManagedIdentity/userAssignedIdentities/trainer")
	return ml.Workspace{
		Location: to.Ptr(region),
		Kind:     to.Ptr("FeatureStore"),
		Tags:     map[string]*string{"team": to.Ptr("vision")},
		SKU: &ml.SKU{
			Name: to.Ptr("Basic"), Tier: to.Ptr(ml.SKUTierBasic), Size: to.Ptr("1"), Family: to.Ptr("A"), Capacity: to.Ptr(int32(1)),
		},
		Identity: &ml.ManagedServiceIdentity{
			Type:                   to.Ptr(ml.ManagedServiceIdentityTypeSystemAssignedUserAssigned),
			UserAssignedIdentities: map[string]*ml.UserAssignedIdentity{trainer: {}},
		},
		Properties: &ml.WorkspaceProperties{
			AllowPublicAccessWhenBehindVnet: to.Ptr(true),
			ApplicationInsights:             to.Ptr(outside("Microsoft.Insights/components/every")),
			AssociatedWorkspaces:            []*string{to.Ptr(workspacePath)},
			ContainerRegistry:               to.Ptr(outside("Microsoft.ContainerRegistry/registries/every")),
			Description:                     to.Ptr("every field"),
			DiscoveryURL:                    to.Ptr("https://westeurope.api.azureml.ms/discovery"),
			EnableDataIsolation:             to.Ptr(true),
			Encryption: &ml.EncryptionProperty{
				Status:   to.Ptr(ml.EncryptionStatusEnabled),
				Identity: &ml.IdentityForCmk{UserAssignedIdentity: to.Ptr(trainer)},
				KeyVaultProperties: &ml.EncryptionKeyVaultProperties{
					KeyIdentifier: to.Ptr("https://every.vault.azure.net/keys/k/1"), KeyVaultArmID: to.Ptr(outside("Microsoft.KeyVault/vaults/every")),
					IdentityClientID: to.Ptr(writer),
				},
			},
			FeatureStoreSettings: &ml.FeatureStoreSettings{
				ComputeRuntime:             &ml.ComputeRuntimeDto{SparkRuntimeVersion: to.Ptr("3.3")},
				OfflineStoreConnectionName: to.Ptr("offline"), OnlineStoreConnectionName: to.Ptr("online"),
			},
			FriendlyName:      to.Ptr("Every"),
			HbiWorkspace:      to.Ptr(true),
			HubResourceID:     to.Ptr(workspacePath),
			ImageBuildCompute: to.Ptr("builder"),
			KeyVault:          to.Ptr(outside("Microsoft.KeyVault/vaults/every")),
			ManagedNetwork: &ml.ManagedNetworkSettings{
				IsolationMode: to.Ptr(ml.IsolationModeAllowOnlyApprovedOutbound),
				OutboundRules: map[string]ml.OutboundRuleClassification{"pypi": &ml.FqdnOutboundRule{
					Type: to.Ptr(ml.RuleTypeFQDN), Category: to.Ptr(ml.RuleCategoryUserDefined), Destination: to.Ptr("pypi.example"),
					Status: to.Ptr(ml.RuleStatusInactive),
				}},
				Status: &ml.ManagedNetworkProvisionStatus{SparkReady: to.Ptr(false), Status: to.Ptr(ml.ManagedNetworkStatusInactive)},
			},
			PrimaryUserAssignedIdentity:     to.Ptr(trainer),
			PublicNetworkAccess:             to.Ptr(ml.PublicNetworkAccessDisabled),
			ServerlessComputeSettings:       serverless("every"),
			ServiceManagedResourcesSettings: managedResources(400),
			SharedPrivateLinkResources: []*ml.SharedPrivateLinkResource{{
				Name: to.Ptr("link"),
				Properties: &ml.SharedPrivateLinkResourceProperty{
					GroupID: to.Ptr("blob"), PrivateLinkResourceID: to.Ptr(outside("Microsoft.Storage/storageAccounts/other")),
					RequestMessage: to.Ptr("please"), Status: to.Ptr(ml.PrivateEndpointServiceConnectionStatusPending),
				},
			}},
			StorageAccount: to.Ptr(outside("Microsoft.Storage/storageAccounts/every")),
			V1LegacyMode:   to.Ptr(true),
			WorkspaceHubConfig: &ml.WorkspaceHubConfig{
				AdditionalWorkspaceStorageAccounts: []*string{to.Ptr(outside("Microsoft.Storage/storageAccounts/more"))},
				DefaultWorkspaceResourceGroup:      to.Ptr("/subscriptions/" + subscription + "/resourceGroups/" + group),
			},
		},
	}
}

// everyWorkspaceChange is a PATCH with every field set that a client may write.
func everyWorkspaceChange() ml.WorkspaceUpdateParameters {
	whole := everyWorkspaceField()
	return ml.WorkspaceUpdateParameters{
		Identity: whole.Identity,
		SKU:      whole.SKU,
		Tags:     map[string]*string{"team": to.Ptr("speech")},
		Properties: &ml.WorkspacePropertiesUpdateParameters{
			ApplicationInsights: to.Ptr(outside("Microsoft.Insights/components/changed")),
			ContainerRegistry:   to.Ptr(outside("Microsoft.ContainerRegistry/registries/changed")),
			Description:         to.Ptr("changed"),
			EnableDataIsolation: to.Ptr(false),
			Encryption: &ml.EncryptionUpdateProperties{
				KeyVaultProperties: &ml.EncryptionKeyVaultUpdateProperties{KeyIdentifier: to.Ptr("https://every.vault.azure.net/keys/k/2")},
			},
			FeatureStoreSettings:            whole.Properties.FeatureStoreSettings,
			FriendlyName:                    to.Ptr("Changed"),
			ImageBuildCompute:               to.Ptr("other-builder"),
			ManagedNetwork:                  whole.Properties.ManagedNetwork,
			PrimaryUserAssignedIdentity:     whole.Properties.PrimaryUserAssignedIdentity,
			PublicNetworkAccess:             to.Ptr(ml.PublicNetworkAccessEnabled),
			ServerlessComputeSettings:       serverless("changed"),
			ServiceManagedResourcesSettings: managedResources(800),
			V1LegacyMode:                    to.Ptr(false),
		},
	}
}

func serverless(subnet string) *ml.ServerlessComputeSettings {
	return &ml.ServerlessComputeSettings{
		ServerlessComputeCustomSubnet: to.Ptr(outside("Microsoft.Network/virtualNetworks/net/subnets/" + subnet)),
		ServerlessComputeNoPublicIP:   to.Ptr(true),
	}
}

func managedResources(throughput int32) *ml.ServiceManagedResourcesSettings {
	return &ml.ServiceManagedResourcesSettings{CosmosDb: &ml.CosmosDbSettings{CollectionsThroughput: to.Ptr(throughput)}}
}

func TestEveryFieldOfWorkspacesAndJobs(t *testing.T) {
	t.Parallel()
	azure := newAzure(t)

	t.Run("the bodies leave nothing out", func(t *testing.T) {
		t.Parallel()
		for _, body := range []any{everyWorkspaceField(), everyWorkspaceChange(), fullJob("any")} {
			if missing := unset(reflect.ValueOf(body)); len(missing) > 0 {
				t.Errorf("%T leaves out %s", body, strings.Join(missing, ", "))
			}
		}
	})

	t.Run("a workspace keeps every field that was set, and then changed", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewWorkspacesClient()
		wanted := everyWorkspaceField()
		creation, err := client.BeginCreateOrUpdate(background(t), group, "every-field", wanted, nil)
		must(t, err)
		holds(t, "workspace", ended(t, creation).Workspace, wanted)
		change := everyWorkspaceChange()
		update, err := client.BeginUpdate(background(t), group, "every-field", change, nil)
		must(t, err)
		changed := ended(t, update).Workspace
		holds(t, "workspace", changed, change)
		same(t, "key vault", changed.Properties.KeyVault, *wanted.Properties.KeyVault)
	})

	t.Run("a job keeps every field that was set", func(t *testing.T) {
		t.Parallel()
		clients := azure.writer(t)
		create(t, clients.NewComputeClient(), "empty", cluster("Standard_DS2_v2", 0, 1))
		wanted := ml.JobBase{Properties: fullJob("empty")}
		made, err := clients.NewJobsClient().CreateOrUpdate(background(t), group, workspace, "full-job", wanted, nil)
		must(t, err)
		holds(t, "job", made.JobBase, wanted)
	})
}
