//! The buckets under tokio's paused clock: time passes only where a test waits.

use std::collections::HashMap;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{advance, sleep, timeout};

use super::*;
use OperationKind::{Delete, Read, Write};
use Priority::{Background, Person};

fn claim(lane: &str, key: &str) -> Claim {
    Claim {
        principal: "app/t/c".into(),
        subscription: "S1".into(),
        kind: Write,
        lane: lane.into(),
        key: key.into(),
        priority: Person,
        provider_scope: None,
    }
}

fn background(lane: &str, key: &str) -> Claim {
    Claim { priority: Background, ..claim(lane, key) }
}

fn scoped(key: &str, region: &str) -> Claim {
    Claim { provider_scope: Some(provider_scope("Microsoft.X", region)), ..claim("ws", key) }
}

/// A budget whose write buckets hold `capacity` and get one token a second.
fn small(capacity: f64) -> Budget {
    let write = BucketSize { capacity, refill_per_second: 1.0 };
    Budget::new(BudgetConfig { write, ..BudgetConfig::default() })
}

fn running(budget: &Budget) -> UnboundedReceiver<String> {
    let wakes = budget.wakes();
    let budget = budget.clone();
    tokio::spawn(async move { budget.run().await });
    wakes
}

fn granted(admission: Admission) -> Permit {
    match admission {
        Admission::Granted(permit) => permit,
        Admission::Queued { expected } => panic!("queued for {expected:?}"),
    }
}

fn queued(admission: Admission) -> Duration {
    match admission {
        Admission::Queued { expected } => expected,
        Admission::Granted(permit) => panic!("granted {permit:?}"),
    }
}

/// Sends one request, which ARM answers with what it has left.
fn answered(budget: &Budget, claim: &Claim, remaining: u64) {
    granted(budget.try_admit(claim)).spend().answered(Some(remaining));
}

/// What blocks the claims of [`scoped`].
fn block(budget: &Budget, region: &str, seconds: u64) {
    let until = Instant::now() + Duration::from_secs(seconds);
    budget.block_provider("s1", Write, &provider_scope("microsoft.x", region), until);
}

fn spend_all(budget: &Budget, claim: &Claim) -> usize {
    let mut spent = 0;
    while let Admission::Granted(permit) = budget.try_admit(claim) {
        permit.spend();
        spent += 1;
    }
    budget.withdraw(&claim.key);
    spent
}

fn state(budget: &Budget) -> BucketState {
    budget.snapshot().into_iter().find(|state| state.kind == Write).unwrap()
}

/// Who is woken, in order, when each spends its permit at once.
async fn order(budget: &Budget, wakes: &mut UnboundedReceiver<String>, claims: &[Claim]) -> Vec<String> {
    let claims: HashMap<&str, &Claim> = claims.iter().map(|claim| (claim.key.as_str(), claim)).collect();
    let mut order = Vec::new();
    while order.len() < claims.len() {
        let key = wakes.recv().await.unwrap();
        granted(budget.try_admit(claims[key.as_str()])).spend();
        order.push(key);
    }
    order
}

#[tokio::test(start_paused = true)]
async fn three_hundred_claims_in_one_bucket_take_ten_seconds() {
    let budget = Budget::new(BudgetConfig::default());
    let mut wakes = running(&budget);
    let start = Instant::now();
    let mut waiting = HashMap::new();
    for n in 0..300 {
        let claim = claim(&format!("ws{}", n % 7), &format!("k{n}"));
        match budget.try_admit(&claim) {
            Admission::Granted(permit) => permit.spend().answered(None),
            Admission::Queued { .. } => {
                waiting.insert(claim.key.clone(), claim);
            }
        }
    }
    // One is left behind, so that an answer of 0 never comes as a surprise.
    assert_eq!(waiting.len(), 101);
    while !waiting.is_empty() {
        let key = wakes.recv().await.unwrap();
        granted(budget.try_admit(&waiting.remove(&key).unwrap())).spend();
    }
    let took = start.elapsed().as_secs_f64();
    assert!((10.0..10.3).contains(&took), "took {took} s");
}

/// ARM's side of a bucket, kept independently of ours.
struct ArmBucket {
    left: f64,
    at: Instant,
}

impl ArmBucket {
    fn request(&mut self) -> u64 {
        let now = Instant::now();
        self.left = (self.left + 10.0 * (now - self.at).as_secs_f64()).min(200.0) - 1.0;
        self.at = now;
        assert!(self.left > -1e-3, "ARM would have answered 429");
        self.left.max(0.0) as u64
    }
}

#[tokio::test(start_paused = true)]
async fn arms_bucket_is_never_overdrawn() {
    for seed in 1..20u64 {
        let budget = Budget::new(BudgetConfig::default());
        let mut wakes = running(&budget);
        let arm = Arc::new(Mutex::new(ArmBucket { left: 200.0, at: Instant::now() }));
        let mut random = seed;
        let mut dice = move |sides: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % sides
        };
        let mut tasks = Vec::new();
        let mut use_up = |permit: Permit, hold: u64, drops: bool| {
            let arm = arm.clone();
            tasks.push(tokio::spawn(async move {
                sleep(Duration::from_millis(hold)).await;
                if !drops {
                    let flight = permit.spend();
                    let remaining = arm.lock().unwrap().request();
                    flight.answered(Some(remaining));
                }
            }));
        };
        for n in 0..400 {
            let claim = claim(&format!("ws{}", dice(5)), &format!("k{n}"));
            if let Admission::Granted(permit) = budget.try_admit(&claim) {
                use_up(permit, dice(15_000), dice(10) == 0);
            }
            sleep(Duration::from_millis(dice(20))).await;
        }
        while let Ok(Some(key)) = timeout(Duration::from_secs(60), wakes.recv()).await {
            // Some come late for what is kept for them, and some never.
            sleep(Duration::from_millis(dice(150))).await;
            let claim = claim("ws", &key);
            match budget.try_admit(&claim) {
                Admission::Granted(permit) if dice(8) > 0 => use_up(permit, dice(12_000), dice(10) == 0),
                _ => budget.withdraw(&key),
            }
        }
        for task in tasks {
            task.await.unwrap();
        }
        sleep(Duration::from_secs(30)).await;
        assert_eq!(state(&budget).left, 200.0, "tokens were lost");
    }
}

#[tokio::test(start_paused = true)]
async fn lanes_take_turns_and_each_is_first_come_first_served() {
    let budget = small(1.0);
    let mut wakes = running(&budget);
    granted(budget.try_admit(&claim("x", "first"))).spend();
    let mut claims: Vec<Claim> = (0..6).map(|n| claim("big", &format!("big{n}"))).collect();
    claims.extend((0..3).map(|n| claim("small", &format!("small{n}"))));
    claims.push(claim("tiny", "tiny0"));
    for claim in &claims {
        queued(budget.try_admit(claim));
    }
    let order = order(&budget, &mut wakes, &claims).await;
    assert_eq!(order, ["big0", "small0", "tiny0", "big1", "small1", "big2", "small2", "big3", "big4", "big5"]);
}

#[tokio::test(start_paused = true)]
async fn people_go_first_and_background_gets_every_tenth_turn() {
    let budget = small(1.0);
    let mut wakes = running(&budget);
    granted(budget.try_admit(&claim("x", "first"))).spend();
    let mut claims: Vec<Claim> = (0..3).map(|n| background("repair", &format!("b{n}"))).collect();
    claims.extend((0..20).map(|n| claim(&format!("ws{}", n % 3), &format!("p{n}"))));
    for claim in &claims {
        queued(budget.try_admit(claim));
    }
    let order = order(&budget, &mut wakes, &claims).await;
    let turns: Vec<usize> = (0..order.len()).filter(|turn| order[*turn].starts_with('b')).collect();
    assert_eq!(turns, [9, 19, 22]);
}

#[tokio::test(start_paused = true)]
async fn a_woken_keys_token_is_kept_for_ten_seconds_and_then_goes_on() {
    let budget = small(1.0);
    let mut wakes = running(&budget);
    granted(budget.try_admit(&claim("a", "first"))).spend();
    queued(budget.try_admit(&claim("a", "slow")));
    queued(budget.try_admit(&claim("a", "next")));
    assert_eq!(wakes.recv().await.unwrap(), "slow");
    let start = Instant::now();
    sleep(Duration::from_secs(9)).await;
    queued(budget.try_admit(&claim("b", "newcomer")));
    assert!(wakes.try_recv().is_err(), "the token was kept for nobody");
    assert_eq!(wakes.recv().await.unwrap(), "next");
    assert!(start.elapsed() >= Duration::from_secs(10));
    assert!(queued(budget.try_admit(&claim("a", "slow"))) > Duration::ZERO);
    granted(budget.try_admit(&claim("a", "next"))).spend();
}

#[tokio::test(start_paused = true)]
async fn a_kept_token_survives_a_change_of_mind_about_priority() {
    let budget = small(1.0);
    let mut wakes = running(&budget);
    granted(budget.try_admit(&claim("a", "first"))).spend();
    queued(budget.try_admit(&background("a", "k")));
    assert_eq!(wakes.recv().await.unwrap(), "k");
    granted(budget.try_admit(&claim("b", "k"))).spend();
}

#[tokio::test(start_paused = true)]
async fn a_key_waits_once_and_in_one_place() {
    let budget = small(1.0);
    let _wakes = running(&budget);
    granted(budget.try_admit(&claim("a", "first"))).spend();
    for _ in 0..3 {
        queued(budget.try_admit(&claim("a", "k")));
    }
    assert_eq!(state(&budget).waiting, 1);
    // A person now wants what background work waited for.
    queued(budget.try_admit(&background("a", "k")));
    assert_eq!(state(&budget).waiting, 1);
    // Another bucket: the old place is given up.
    let delete = Claim { kind: Delete, ..claim("a", "k") };
    granted(budget.try_admit(&delete)).spend();
    assert_eq!(state(&budget).waiting, 0);
    queued(budget.try_admit(&claim("a", "k")));
    budget.withdraw("k");
    assert_eq!(state(&budget).waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn withdrawing_gives_a_kept_token_to_the_next() {
    let budget = small(1.0);
    let mut wakes = running(&budget);
    granted(budget.try_admit(&claim("a", "first"))).spend();
    queued(budget.try_admit(&claim("a", "k1")));
    queued(budget.try_admit(&claim("a", "k2")));
    assert_eq!(wakes.recv().await.unwrap(), "k1");
    let start = Instant::now();
    budget.withdraw("k1");
    assert_eq!(wakes.recv().await.unwrap(), "k2");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_permit_dropped_unspent_gives_its_token_back() {
    let budget = small(2.0);
    let mut wakes = running(&budget);
    let kept = granted(budget.try_admit(&claim("a", "k1")));
    granted(budget.try_admit(&claim("a", "k2"))).spend();
    queued(budget.try_admit(&claim("a", "k3")));
    let start = Instant::now();
    drop(kept);
    assert_eq!(wakes.recv().await.unwrap(), "k3");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_does_not_let_the_bucket_grow_beyond_its_size() {
    let budget = small(5.0);
    answered(&budget, &claim("a", "first"), 4);
    advance(Duration::from_secs(1)).await;
    let permits: Vec<Permit> = (0..5).map(|n| granted(budget.try_admit(&claim("a", &format!("k{n}"))))).collect();
    advance(Duration::from_secs(60)).await;
    queued(budget.try_admit(&claim("a", "late")));
    for permit in permits {
        permit.spend();
    }
    queued(budget.try_admit(&claim("a", "late")));
    advance(Duration::from_secs(1)).await;
    granted(budget.try_admit(&claim("a", "late"))).spend();
}

#[tokio::test(start_paused = true)]
async fn arms_429_makes_the_bucket_wait_once_and_start_empty() {
    let budget = small(50.0);
    let mut wakes = running(&budget);
    let start = Instant::now();
    // Three requests that were under way are refused one after the other.
    for seconds in [17, 16, 17] {
        budget.throttled("app/t/c", "s1", Write, Duration::from_secs(seconds));
    }
    assert!(state(&budget).throttled);
    let claims = [claim("a", "k1"), claim("a", "k2")];
    let expected = queued(budget.try_admit(&claims[0]));
    // What comes back is counted on half as much as before.
    assert_eq!(expected, Duration::from_secs(19));
    queued(budget.try_admit(&claims[1]));
    granted(budget.try_admit(&Claim { kind: Read, ..claim("a", "reader") })).spend();
    assert_eq!(wakes.recv().await.unwrap(), "k1");
    let first = start.elapsed().as_secs_f64();
    assert!((19.0..19.1).contains(&first), "{first}");
    granted(budget.try_admit(&claims[0])).spend();
    assert_eq!(wakes.recv().await.unwrap(), "k2");
    let second = start.elapsed().as_secs_f64();
    assert!((21.0..21.1).contains(&second), "{second}");
}

#[tokio::test(start_paused = true)]
async fn a_429_holds_for_a_token_that_is_kept_already() {
    let budget = small(1.0);
    let mut wakes = running(&budget);
    granted(budget.try_admit(&claim("a", "first"))).spend();
    queued(budget.try_admit(&claim("a", "k")));
    assert_eq!(wakes.recv().await.unwrap(), "k");
    budget.throttled("app/t/c", "s1", Write, Duration::from_secs(5));
    assert_eq!(queued(budget.try_admit(&claim("a", "k"))), Duration::from_secs(7));
    assert_eq!(wakes.recv().await.unwrap(), "k");
    granted(budget.try_admit(&claim("a", "k"))).spend();
}

#[tokio::test(start_paused = true)]
async fn a_providers_429_makes_that_provider_region_subscription_and_kind_wait() {
    let budget = small(50.0);
    let mut wakes = running(&budget);
    let start = Instant::now();
    block(&budget, "West", 30);
    assert_eq!(queued(budget.try_admit(&scoped("west", "west"))), Duration::from_secs(30));
    granted(budget.try_admit(&scoped("north", "north"))).spend();
    granted(budget.try_admit(&claim("ws", "unscoped"))).spend();
    granted(budget.try_admit(&Claim { subscription: "s2".into(), ..scoped("other", "west") })).spend();
    granted(budget.try_admit(&Claim { kind: Read, ..scoped("reader", "west") })).spend();
    assert!(matches!(
        budget.try_admit(&Claim { kind: Delete, principal: "app/t/d".into(), ..scoped("deleter", "west") }),
        Admission::Queued { .. }
    ));
    budget.withdraw("deleter");
    assert_eq!(wakes.recv().await.unwrap(), "west");
    assert!(start.elapsed() >= Duration::from_secs(30));
    granted(budget.try_admit(&scoped("west", "WEST"))).spend();
}

#[tokio::test(start_paused = true)]
async fn a_block_holds_for_a_token_that_is_kept_already() {
    let budget = small(1.0);
    let mut wakes = running(&budget);
    granted(budget.try_admit(&claim("ws", "first"))).spend();
    queued(budget.try_admit(&scoped("west", "west")));
    queued(budget.try_admit(&scoped("north", "north")));
    assert_eq!(wakes.recv().await.unwrap(), "west");
    block(&budget, "west", 30);
    queued(budget.try_admit(&scoped("west", "west")));
    assert_eq!(wakes.recv().await.unwrap(), "north");
}

#[tokio::test(start_paused = true)]
async fn learns_from_what_arm_has_left() {
    let budget = Budget::new(BudgetConfig::default());
    let first = claim("a", "k");
    // An answer that says nothing changes nothing.
    granted(budget.try_admit(&first)).spend().answered(None);
    assert_eq!((state(&budget).left, state(&budget).capacity), (199.0, 200.0));
    answered(&budget, &first, 198);
    assert_eq!((state(&budget).left, state(&budget).capacity), (198.0, 200.0));
    // Someone else uses the bucket.
    answered(&budget, &first, 8);
    assert_eq!(spend_all(&budget, &first), 7, "one is left behind");
    // They have stopped, or it fills faster than documented.
    advance(Duration::from_millis(100)).await;
    answered(&budget, &first, 150);
    assert_eq!(state(&budget).left, 150.0);
    // More than it is believed to hold.
    answered(&budget, &first, 1199);
    assert_eq!((state(&budget).left, state(&budget).capacity), (1199.0, 1200.0));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_found_out_by_few() {
    let budget = Budget::new(BudgetConfig::default());
    let claims: Vec<Claim> = (0..10).map(|n| claim("a", &format!("k{n}"))).collect();
    let flights: Vec<Flight> = claims[..3].iter().map(|claim| granted(budget.try_admit(claim)).spend()).collect();
    queued(budget.try_admit(&claims[3]));
    for (flight, left) in flights.into_iter().zip([19, 18, 17]) {
        flight.answered(Some(left));
    }
    assert_eq!((state(&budget).left, state(&budget).capacity), (17.0, 20.0));
    let rest: Vec<Permit> = claims[3..].iter().map(|claim| granted(budget.try_admit(claim))).collect();
    assert_eq!(rest.len(), 7);
    drop(rest);
    // After a rest it isn't known who came meanwhile.
    advance(Duration::from_secs(60)).await;
    let permits: Vec<Permit> = claims[..3].iter().map(|claim| granted(budget.try_admit(claim))).collect();
    queued(budget.try_admit(&claims[3]));
    drop(permits);
    granted(budget.try_admit(&claims[3])).spend();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_overtaken_tells_of_the_past() {
    let budget = Budget::new(BudgetConfig::default());
    let first = granted(budget.try_admit(&claim("a", "k1"))).spend();
    let second = granted(budget.try_admit(&claim("a", "k2"))).spend();
    second.answered(Some(100));
    first.answered(Some(199));
    // The first may have been counted before the second, or not.
    assert_eq!(state(&budget).left, 99.0);
}

#[tokio::test(start_paused = true)]
async fn what_arm_says_does_not_slow_a_bucket_that_is_ours_alone() {
    let budget = small(1.0);
    let mut wakes = running(&budget);
    let start = Instant::now();
    granted(budget.try_admit(&claim("a", "k"))).spend();
    for _ in 0..20 {
        queued(budget.try_admit(&claim("a", "k")));
        assert_eq!(wakes.recv().await.unwrap(), "k");
        let flight = granted(budget.try_admit(&claim("a", "k"))).spend();
        advance(Duration::from_millis(300)).await;
        flight.answered(Some(0));
    }
    let took = start.elapsed().as_secs_f64();
    assert!((20.0..21.5).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn refusals_in_a_row_double_the_wait_and_a_success_ends_that() {
    let budget = small(50.0);
    let refuse = |seconds| budget.throttled("app/t/c", "s1", Write, Duration::from_secs(seconds));
    for wait in [4, 8, 16, 32, 60, 60] {
        refuse(4);
        advance(Duration::from_secs(wait) - Duration::from_millis(1)).await;
        assert!(state(&budget).throttled, "{wait}");
        advance(Duration::from_millis(2)).await;
        assert!(!state(&budget).throttled, "{wait}");
    }
    advance(Duration::from_secs(60)).await;
    answered(&budget, &claim("a", "k"), 30);
    refuse(4);
    advance(Duration::from_secs(4)).await;
    assert!(!state(&budget).throttled);
    // What ARM itself asks for counts, however long.
    refuse(300);
    advance(Duration::from_secs(299)).await;
    assert!(state(&budget).throttled);
}

#[tokio::test(start_paused = true)]
async fn a_permit_can_be_kept_while_its_key_waits_for_another() {
    let budget = small(1.0);
    let mut wakes = running(&budget);
    let permit = granted(budget.try_admit(&claim("a", "k")));
    budget.keep("k", permit);
    queued(budget.try_admit(&claim("a", "other")));
    sleep(Duration::from_secs(9)).await;
    assert!(wakes.try_recv().is_err());
    budget.keep("k", granted(budget.try_admit(&claim("a", "k"))));
    budget.withdraw("k");
    assert_eq!(wakes.recv().await.unwrap(), "other");
}

#[tokio::test(start_paused = true)]
async fn a_share_divides_every_bucket() {
    let budget = Budget::new(BudgetConfig::with_share(0.5).unwrap());
    for (kind, size) in [(Read, 124), (Write, 99), (Delete, 99)] {
        assert_eq!(spend_all(&budget, &Claim { kind, ..claim("a", "k") }), size);
    }
    advance(Duration::from_secs(2)).await;
    for (kind, size) in [(Read, 25), (Write, 10), (Delete, 10)] {
        assert_eq!(spend_all(&budget, &Claim { kind, ..claim("a", "k") }), size);
    }
    for share in [0.0, -1.0, 1.01, f64::NAN, f64::INFINITY] {
        assert!(BudgetConfig::with_share(share).is_err(), "{share}");
    }
    let tiny = Budget::new(BudgetConfig { share: 1e-9, ..BudgetConfig::default() });
    assert_eq!(spend_all(&tiny, &claim("a", "k")), 1);
}

#[tokio::test(start_paused = true)]
async fn buckets_are_apart_by_principal_subscription_and_kind() {
    let budget = small(1.0);
    granted(budget.try_admit(&claim("a", "k1"))).spend();
    queued(budget.try_admit(&Claim { subscription: "s1".into(), ..claim("a", "k2") }));
    granted(budget.try_admit(&Claim { subscription: "s2".into(), ..claim("a", "k3") })).spend();
    granted(budget.try_admit(&Claim { principal: "app/t/d".into(), ..claim("a", "k4") })).spend();
    granted(budget.try_admit(&Claim { kind: Delete, ..claim("a", "k5") })).spend();
    let states = budget.snapshot();
    let names: Vec<_> =
        states.iter().map(|s| (s.principal.as_str(), s.subscription.as_str(), s.kind, s.waiting)).collect();
    assert_eq!(
        names,
        [
            ("app/t/c", "s1", Write, 1),
            ("app/t/c", "s1", Delete, 0),
            ("app/t/c", "s2", Write, 0),
            ("app/t/d", "s1", Write, 0)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_future_waits_its_turn_and_gives_it_up_when_dropped() {
    let budget = small(1.0);
    let mut wakes = running(&budget);
    let start = Instant::now();
    budget.admit(background("a", "reader")).await.spend();
    assert_eq!(start.elapsed(), Duration::ZERO);
    budget.admit(background("a", "reader")).await.spend();
    let took = start.elapsed().as_secs_f64();
    assert!((1.0..1.1).contains(&took), "{took}");

    let abandoned = timeout(Duration::from_millis(10), budget.admit(background("a", "reader"))).await;
    assert!(abandoned.is_err());
    assert_eq!(state(&budget).waiting, 0);

    // Told of its turn, and dropped before it could look.
    let mut told = Box::pin(budget.admit(background("a", "reader")));
    let pending = futures_pending(&mut told).await;
    assert!(pending);
    sleep(Duration::from_secs(5)).await;
    queued(budget.try_admit(&claim("a", "k")));
    drop(told);
    assert_eq!(wakes.recv().await.unwrap(), "k");
}

/// Polls a future once, and says whether it still waits.
async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending()))
        .await
}
