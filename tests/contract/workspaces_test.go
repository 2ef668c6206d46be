package contract

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	ml "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/machinelearning/armmachinelearning/v4"
)

func TestWorkspaces(t *testing.T) {
	t.Parallel()
	azure := newAzure(t)

	t.Run("a workspace is read with all its fields", func(t *testing.T) {
		t.Parallel()
		got, err := azure.writer(t).NewWorkspacesClient().Get(background(t), group, workspace, nil)
		must(t, err)
		same(t, "id", got.ID, workspacePath)
		same(t, "name", got.Name, workspace)
		same(t, "type", got.Type, "Microsoft.MachineLearningServices/workspaces")
		same(t, "location", got.Location, region)
		same(t, "kind", got.Kind, "Default")
		same(t, "state", got.Properties.ProvisioningState, ml.ProvisioningStateSucceeded)
		same(t, "tenant", got.Properties.TenantID, tenant)
		same(t, "identity", got.Identity.Type, ml.ManagedServiceIdentityTypeSystemAssigned)
		if got.SystemData == nil || got.SystemData.CreatedAt == nil || got.SystemData.CreatedAt.IsZero() {
			t.Errorf("no time of creation: %+v", got.SystemData)
		}
	})

	t.Run("a group's workspaces come page by page", func(t *testing.T) {
		t.Parallel()
		pager := azure.writer(t).NewWorkspacesClient().NewListByResourceGroupPager("lists-rg", nil)
		count, all := pages(t, pager, func(page ml.WorkspacesClientListByResourceGroupResponse) []*ml.Workspace { return page.Value })
		equal(t, "pages", count, 3)
		names := map[string]bool{}
		for _, one := range all {
			names[*one.Name] = true
		}
		equal(t, "workspaces", len(all), 5)
		equal(t, "different workspaces", len(names), 5)
		same(t, "a tag", all[0].Tags["order"], "first")
	})

	t.Run("the subscription's workspaces hold those of every group", func(t *testing.T) {
		t.Parallel()
		pager := azure.writer(t).NewWorkspacesClient().NewListBySubscriptionPager(nil)
		_, all := pages(t, pager, func(page ml.WorkspacesClientListBySubscriptionResponse) []*ml.Workspace { return page.Value })
		names := map[string]bool{}
		for _, one := range all {
			names[*one.Name] = true
		}
		for _, name := range []string{workspace, "list-a", "list-e"} {
			equal(t, name, names[name], true)
		}
	})

	t.Run("keys are listed", func(t *testing.T) {
		t.Parallel()
		got, err := azure.writer(t).NewWorkspacesClient().ListKeys(background(t), group, workspace, nil)
		must(t, err)
		if got.AppInsightsInstrumentationKey == nil || got.NotebookAccessKeys == nil || got.NotebookAccessKeys.PrimaryAccessKey == nil {
			t.Errorf("keys are missing: %+v", got)
		}
	})

	t.Run("a workspace is created, changed and deleted by pollers", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewWorkspacesClient()
		creation, err := client.BeginCreateOrUpdate(background(t), group, "made-by-sdk", ml.Workspace{
			Location: to.Ptr(region),
			Tags:     map[string]*string{"made": to.Ptr("here")},
			Identity: &ml.ManagedServiceIdentity{Type: to.Ptr(ml.ManagedServiceIdentityTypeSystemAssigned)},
			Properties: &ml.WorkspaceProperties{
				Description:         to.Ptr("made by the client"),
				FriendlyName:        to.Ptr("Made"),
				StorageAccount:      to.Ptr(outside("Microsoft.Storage/storageAccounts/made")),
				KeyVault:            to.Ptr(outside("Microsoft.KeyVault/vaults/made")),
				ApplicationInsights: to.Ptr(outside("Microsoft.Insights/components/made")),
				PublicNetworkAccess: to.Ptr(ml.PublicNetworkAccessDisabled),
				V1LegacyMode:        to.Ptr(false),
				ManagedNetwork:      &ml.ManagedNetworkSettings{IsolationMode: to.Ptr(ml.IsolationModeDisabled)},
			},
		}, nil)
		must(t, err)
		equal(t, "done at once", creation.Done(), false)
		made := ended(t, creation)
		same(t, "state", made.Properties.ProvisioningState, ml.ProvisioningStateSucceeded)
		same(t, "description", made.Properties.Description, "made by the client")
		same(t, "network access", made.Properties.PublicNetworkAccess, ml.PublicNetworkAccessDisabled)
		same(t, "key vault", made.Properties.KeyVault, outside("Microsoft.KeyVault/vaults/made"))
		same(t, "tag", made.Tags["made"], "here")

		change, err := client.BeginUpdate(background(t), group, "made-by-sdk", ml.WorkspaceUpdateParameters{
			Tags:       map[string]*string{"made": to.Ptr("there")},
			Properties: &ml.WorkspacePropertiesUpdateParameters{Description: to.Ptr("changed")},
		}, nil)
		must(t, err)
		changed := ended(t, change)
		same(t, "description", changed.Properties.Description, "changed")
		same(t, "tag", changed.Tags["made"], "there")
		same(t, "friendly name", changed.Properties.FriendlyName, "Made")

		deletion, err := client.BeginDelete(background(t), group, "made-by-sdk", &ml.WorkspacesClientBeginDeleteOptions{ForceToPurge: to.Ptr(true)})
		must(t, err)
		ended(t, deletion)
		_, err = client.Get(background(t), group, "made-by-sdk", nil)
		refused(t, err, 404, "ResourceNotFound")
	})

	t.Run("what isn't there is told by a typed error", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewWorkspacesClient()
		_, err := client.Get(background(t), group, "absent", nil)
		refused(t, err, 404, "ResourceNotFound")
		_, err = client.Get(background(t), "absent-rg", workspace, nil)
		refused(t, err, 404, "ResourceGroupNotFound")
	})

	t.Run("a workspace without its storage is refused", func(t *testing.T) {
		t.Parallel()
		_, err := azure.writer(t).NewWorkspacesClient().BeginCreateOrUpdate(background(t), group, "bare", ml.Workspace{
			Location: to.Ptr(region), Properties: &ml.WorkspaceProperties{},
		}, nil)
		refused(t, err, 400, "ValidationError")
	})
}

// outside is the id of a resource that azure-sim doesn't serve and takes as it is.
func outside(typeAndName string) string {
	return "/subscriptions/" + subscription + "/resourceGroups/" + group + "/providers/" + typeAndName
}
