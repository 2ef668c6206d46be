package contract

import (
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	ml "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/machinelearning/armmachinelearning/v4"
)

func TestRegions(t *testing.T) {
	t.Parallel()
	azure := newAzure(t)

	t.Run("sizes are listed with all that they have", func(t *testing.T) {
		t.Parallel()
		got, err := azure.writer(t).NewVirtualMachineSizesClient().List(background(t), region, nil)
		must(t, err)
		sizes := map[string]*ml.VirtualMachineSize{}
		for _, size := range got.Value {
			sizes[*size.Name] = size
			if size.Family == nil || size.VCPUs == nil || size.Gpus == nil || size.MemoryGB == nil || size.LowPriorityCapable == nil ||
				size.PremiumIO == nil || size.MaxResourceVolumeMB == nil || size.OSVhdSizeMB == nil || len(size.SupportedComputeTypes) == 0 {
				t.Errorf("a size lacks something: %s", text(t, size))
			}
		}
		equal(t, "sizes", len(sizes), 6)
		same(t, "cores", sizes["Standard_DS3_v2"].VCPUs, 4)
		same(t, "memory", sizes["Standard_DS3_v2"].MemoryGB, 14)
		same(t, "accelerators", sizes["Standard_NC24ads_A100_v4"].Gpus, 1)
		prices := sizes["Standard_D4s_v3"].EstimatedVMPrices
		same(t, "currency", prices.BillingCurrency, ml.BillingCurrencyUSD)
		same(t, "unit", prices.UnitOfMeasure, ml.UnitOfMeasureOneHour)
		same(t, "price", prices.Values[0].RetailPrice, 0.23)
		same(t, "tier", prices.Values[0].VMTier, ml.VMTierStandard)
	})

	t.Run("usages count a cluster's cores", func(t *testing.T) {
		t.Parallel()
		clients := azure.writer(t)
		create(t, clients.NewComputeClient(), "counted", cluster("Standard_F4s_v2", 2, 2))
		until(t, "eight cores in use", func() (bool, string) {
			_, all := pages(t, clients.NewUsagesClient().NewListPager(region, nil),
				func(page ml.UsagesClientListResponse) []*ml.Usage { return page.Value })
			for _, usage := range all {
				if usage.ID == nil || usage.Type == nil || usage.Limit == nil || usage.Name == nil || usage.AmlWorkspaceLocation == nil {
					t.Errorf("a usage lacks something: %s", text(t, usage))
				}
				same(t, "unit", usage.Unit, ml.UsageUnitCount)
				if strings.Contains(*usage.Name.LocalizedValue, "FSv2") {
					same(t, "limit", usage.Limit, 32)
					return *usage.CurrentValue == 8, text(t, usage)
				}
			}
			return false, "no usage of the family FSv2"
		})
	})

	t.Run("quotas are listed and changed", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewQuotasClient()
		id := "/subscriptions/" + subscription +
			"/resourceGroups/lists-rg/providers/Microsoft.MachineLearningServices/workspaces/list-c/quotas/standardDSv3Family"
		limit := func() int64 {
			_, all := pages(t, client.NewListPager(region, nil),
				func(page ml.QuotasClientListResponse) []*ml.ResourceQuota { return page.Value })
			for _, quota := range all {
				if *quota.ID == id {
					same(t, "unit", quota.Unit, ml.QuotaUnitCount)
					return *quota.Limit
				}
			}
			t.Fatalf("no quota %s", id)
			return 0
		}
		equal(t, "limit", limit(), 100)
		update := func(cores int64) ml.UpdateWorkspaceQuotas {
			got, err := client.Update(background(t), region, ml.QuotaUpdateParameters{
				Location: to.Ptr(region),
				Value: []*ml.QuotaBaseProperties{{
					ID: to.Ptr(id), Type: to.Ptr("Microsoft.MachineLearningServices/workspaces/dedicatedCores/quotas"),
					Limit: to.Ptr(cores), Unit: to.Ptr(ml.QuotaUnitCount),
				}},
			}, nil)
			must(t, err)
			equal(t, "answers", len(got.Value), 1)
			return *got.Value[0]
		}
		same(t, "status", update(12).Status, ml.StatusSuccess)
		equal(t, "limit", limit(), 12)
		same(t, "status", update(1000).Status, ml.StatusInvalidQuotaExceedsSubscriptionLimit)
		equal(t, "limit", limit(), 12)
	})

	t.Run("a region that isn't served is refused", func(t *testing.T) {
		t.Parallel()
		_, err := azure.writer(t).NewVirtualMachineSizesClient().List(background(t), "mars", nil)
		refused(t, err, 400, "NoRegisteredProviderFound")
	})
}
