//! azure-sim as the other tests use it: through its wrapper.

use azureml_tests::sim::arm::{Arm, compute_id};
use azureml_tests::{RunDir, Sim, SimOptions};
use serde_json::{Value, json};

async fn cluster(arm: &Arm) -> Value {
    let answer = arm.get(&compute_id("gpu-train")).await.unwrap();
    assert!(answer.status.is_success(), "{answer:?}");
    answer.body["properties"].clone()
}

async fn create(arm: &Arm) {
    let scale = json!({"minNodeCount": 0, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT2M"});
    let body = json!({"location": "westeurope", "properties": {
        "computeType": "AmlCompute",
        "properties": {"vmSize": "Standard_DS2_v2", "vmPriority": "Dedicated", "scaleSettings": scale},
    }});
    let answer = arm.put(&compute_id("gpu-train"), body).await.unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn a_job_scales_a_cluster_up_and_idle_time_scales_it_down_across_a_restart() {
    let dir = RunDir::new("sim").unwrap();
    // Time moves when the test says so.
    let mut sim = Sim::start(&SimOptions { time_scale: 1, ..SimOptions::default() }, &dir).await.unwrap();
    let arm = sim.arm().await.unwrap();
    create(&arm).await;
    sim.advance("10m").await.unwrap();
    assert_eq!(cluster(&arm).await["provisioningState"], "Succeeded");

    arm.submit_job("train-1", "gpu-train", 2).await.unwrap();
    let mut most = 0;
    for _ in 0..60 {
        sim.advance("1m").await.unwrap();
        let nodes = cluster(&arm).await["properties"]["currentNodeCount"].as_i64().unwrap();
        most = most.max(nodes);
        if most > 0 && nodes == 0 {
            break;
        }
    }
    assert_eq!(most, 2, "the job's nodes");
    assert_eq!(cluster(&arm).await["properties"]["currentNodeCount"], 0);

    let writes: Vec<_> = sim.requests().await.unwrap().into_iter().filter(|request| request.is_write()).collect();
    let paths: Vec<_> = writes.iter().map(|request| (request.method.as_str(), request.status)).collect();
    assert_eq!(paths, [("PUT", 201), ("PUT", 201)], "{writes:#?}");

    let url = sim.url().to_string();
    sim.restart(&dir).await.unwrap();
    assert_eq!(sim.url(), url);
    let arm = sim.arm().await.unwrap();
    assert_eq!(cluster(&arm).await["provisioningState"], "Succeeded");
}

#[tokio::test]
async fn a_fault_strikes_as_often_as_it_says() {
    let dir = RunDir::new("sim").unwrap();
    let sim = Sim::start(&SimOptions::default(), &dir).await.unwrap();
    let arm = sim.arm().await.unwrap();
    let fault = json!({"status": 503, "code": "ServiceUnavailable"});
    sim.fault(json!({"match": {"method": "GET", "pathContains": "/computes"}, "times": 1, "fault": fault}))
        .await
        .unwrap();
    sim.clear_requests().await.unwrap();
    assert_eq!(arm.get(&compute_id("absent")).await.unwrap().status, 503);
    let answer = arm.get(&compute_id("absent")).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body["error"]["code"].as_str()), (404, Some("ResourceNotFound")));
    let seen: Vec<_> = sim.requests().await.unwrap().iter().map(|request| request.status).collect();
    assert_eq!(seen, [503, 404]);
    let refused = sim.fault(json!({"fault": "nonsense"})).await.unwrap_err();
    assert!(refused.to_string().contains("400"), "{refused}");
}
