package contract

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	ml "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/machinelearning/armmachinelearning/v4"
)

// cluster is a plain one of one to so many nodes.
func cluster(size string, min, max int32) ml.ComputeResource {
	return ml.ComputeResource{
		Location: to.Ptr(region),
		Properties: &ml.AmlCompute{
			ComputeType: to.Ptr(ml.ComputeTypeAmlCompute),
			Properties: &ml.AmlComputeProperties{
				VMSize:        to.Ptr(size),
				VMPriority:    to.Ptr(ml.VMPriorityDedicated),
				ScaleSettings: scale(min, max, "PT2M"),
			},
		},
	}
}

func scale(min, max int32, idle string) *ml.ScaleSettings {
	return &ml.ScaleSettings{MinNodeCount: to.Ptr(min), MaxNodeCount: to.Ptr(max), NodeIdleTimeBeforeScaleDown: to.Ptr(idle)}
}

func scaleUpdate(min, max int32, idle string) ml.ClusterUpdateParameters {
	return ml.ClusterUpdateParameters{Properties: &ml.ClusterUpdateProperties{
		Properties: &ml.ScaleSettingsInformation{ScaleSettings: scale(min, max, idle)},
	}}
}

// aml is the cluster's part of a compute.
func aml(t *testing.T, compute ml.ComputeResource) (*ml.AmlCompute, *ml.AmlComputeProperties) {
	t.Helper()
	outer, ok := compute.Properties.(*ml.AmlCompute)
	if !ok || outer.Properties == nil {
		t.Fatalf("the client doesn't take it for an AmlCompute: %T", compute.Properties)
	}
	return outer, outer.Properties
}

// create makes a cluster and waits for it.
func create(t *testing.T, client *ml.ComputeClient, name string, body ml.ComputeResource) ml.ComputeResource {
	t.Helper()
	poller, err := client.BeginCreateOrUpdate(background(t), group, workspace, name, body, nil)
	must(t, err)
	return ended(t, poller).ComputeResource
}

// remove deletes a cluster and waits for the end.
func remove(t *testing.T, client *ml.ComputeClient, name string) {
	t.Helper()
	poller, err := client.BeginDelete(background(t), group, workspace, name, ml.UnderlyingResourceActionDelete, nil)
	must(t, err)
	ended(t, poller)
}

func TestClusters(t *testing.T) {
	t.Parallel()
	azure := newAzure(t)

	t.Run("a cluster is created, and read with every field that was set", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		wanted := everyField()
		made := create(t, client, "full", wanted)
		got, err := client.Get(background(t), group, workspace, "full", nil)
		must(t, err)
		for _, compute := range []ml.ComputeResource{made, got.ComputeResource} {
			compareEveryField(t, wanted, compute)
		}
	})

	t.Run("its live fields follow its nodes", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		create(t, client, "alive", cluster("Standard_DS2_v2", 2, 3))
		until(t, "two idle nodes", func() (bool, string) {
			got, err := client.Get(background(t), group, workspace, "alive", nil)
			must(t, err)
			_, inner := aml(t, got.ComputeResource)
			if inner.NodeStateCounts == nil || *inner.NodeStateCounts.IdleNodeCount != 2 {
				return false, fmt.Sprintf("%+v", inner.NodeStateCounts)
			}
			if *inner.AllocationState != ml.AllocationStateSteady {
				return false, string(*inner.AllocationState)
			}
			same(t, "current nodes", inner.CurrentNodeCount, 2)
			same(t, "target nodes", inner.TargetNodeCount, 2)
			same(t, "running nodes", inner.NodeStateCounts.RunningNodeCount, 0)
			same(t, "preparing nodes", inner.NodeStateCounts.PreparingNodeCount, 0)
			same(t, "leaving nodes", inner.NodeStateCounts.LeavingNodeCount, 0)
			same(t, "preempted nodes", inner.NodeStateCounts.PreemptedNodeCount, 0)
			same(t, "unusable nodes", inner.NodeStateCounts.UnusableNodeCount, 0)
			if inner.AllocationStateTransitionTime == nil || inner.AllocationStateTransitionTime.IsZero() {
				t.Error("no time of the last transition")
			}
			return true, ""
		})
		_, nodes := pages(t, client.NewListNodesPager(group, workspace, "alive", nil),
			func(page ml.ComputeClientListNodesResponse) []*ml.AmlComputeNodeInformation { return page.Nodes })
		equal(t, "nodes", len(nodes), 2)
		for _, node := range nodes {
			same(t, "state of a node", node.NodeState, ml.NodeStateIdle)
			if node.NodeID == nil || node.PrivateIPAddress == nil || node.PublicIPAddress == nil || node.Port == nil {
				t.Errorf("a node lacks something: %+v", node)
			}
		}
	})

	t.Run("clusters are listed page by page, each as it is read alone", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		for i := range 3 {
			poller, err := client.BeginCreateOrUpdate(background(t), "lists-rg", "list-a", fmt.Sprintf("listed%d", i), cluster("Standard_DS2_v2", 0, 1), nil)
			must(t, err)
			ended(t, poller)
		}
		count, all := pages(t, client.NewListPager("lists-rg", "list-a", nil),
			func(page ml.ComputeClientListResponse) []*ml.ComputeResource { return page.Value })
		equal(t, "pages", count, 2)
		equal(t, "clusters", len(all), 3)
		for i, one := range all {
			same(t, "name", one.Name, fmt.Sprintf("listed%d", i))
			alone, err := client.Get(background(t), "lists-rg", "list-a", *one.Name, nil)
			must(t, err)
			equal(t, "what the list says of "+*one.Name, text(t, *one), text(t, alone.ComputeResource))
		}
	})

	t.Run("scale settings are changed by PATCH", func(t *testing.T) {
		t.Parallel()
		watch := &verbs{}
		client := azure.writer(t, watch).NewComputeClient()
		create(t, client, "patched", cluster("Standard_DS2_v2", 0, 2))
		poller, err := client.BeginUpdate(background(t), group, workspace, "patched", scaleUpdate(1, 4, "PT5M"), nil)
		must(t, err)
		equal(t, "done at once", poller.Done(), false)
		outer, inner := aml(t, ended(t, poller).ComputeResource)
		same(t, "state", outer.ProvisioningState, ml.ProvisioningStateSucceeded)
		equal(t, "scale settings", text(t, inner.ScaleSettings), text(t, scale(1, 4, "PT5M")))
		same(t, "size", inner.VMSize, "STANDARD_DS2_V2")
		equal(t, "patches", watch.count(http.MethodPatch), 1)
	})

	t.Run("scale settings are changed by PUT of what was read", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		body := cluster("Standard_DS2_v2", 0, 2)
		body.Tags = map[string]*string{"kept": to.Ptr("yes")}
		made := create(t, client, "put-again", body)
		_, inner := aml(t, made)
		inner.ScaleSettings = scale(0, 5, "PT10M")
		changed := create(t, client, "put-again", made)
		_, inner = aml(t, changed)
		equal(t, "scale settings", text(t, inner.ScaleSettings), text(t, scale(0, 5, "PT10M")))
		same(t, "tag", changed.Tags["kept"], "yes")
	})

	t.Run("a cluster is deleted", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		create(t, client, "doomed", cluster("Standard_DS2_v2", 0, 1))
		poller, err := client.BeginDelete(background(t), group, workspace, "doomed", ml.UnderlyingResourceActionDelete, nil)
		must(t, err)
		equal(t, "done at once", poller.Done(), false)
		// On a busy machine it may be gone by now.
		if got, err := client.Get(background(t), group, workspace, "doomed", nil); err == nil {
			outer, _ := aml(t, got.ComputeResource)
			same(t, "state", outer.ProvisioningState, ml.ProvisioningStateDeleting)
		}
		ended(t, poller)
		_, err = client.Get(background(t), group, workspace, "doomed", nil)
		refused(t, err, 404, "ResourceNotFound")
	})

	t.Run("deleting what isn't there is done at once", func(t *testing.T) {
		t.Parallel()
		remove(t, azure.writer(t).NewComputeClient(), "never-was")
	})

	t.Run("a cluster is detached", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		create(t, client, "loosened", cluster("Standard_DS2_v2", 0, 1))
		poller, err := client.BeginDelete(background(t), group, workspace, "loosened", ml.UnderlyingResourceActionDetach, nil)
		must(t, err)
		ended(t, poller)
		_, err = client.Get(background(t), group, workspace, "loosened", nil)
		refused(t, err, 404, "ResourceNotFound")
	})
}
