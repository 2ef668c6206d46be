//! Clients of ours, and others, against a model of ARM's bucket that knows nothing of our arithmetic. Time is tokio's, and
//! passes only where a test waits.

use std::collections::VecDeque;

use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use super::*;

/// ARM's bucket: what it holds, who was refused, and when it opens again for the hasty.
struct Arm {
    size: f64,
    refill: f64,
    left: f64,
    at: Instant,
    closed_until: Instant,
    taken: VecDeque<(Instant, &'static str)>,
    refused: Vec<(Instant, &'static str)>,
}

impl Arm {
    fn new(size: f64, refill: f64) -> Arc<Mutex<Self>> {
        let now = Instant::now();
        let (taken, refused) = (VecDeque::new(), Vec::new());
        Arc::new(Mutex::new(Self { size, refill, left: size, at: now, closed_until: now, taken, refused }))
    }

    /// What is left after one more request, or how long to wait; asking too early begins the wait anew.
    fn request(&mut self, who: &'static str) -> Result<u64, Duration> {
        let now = Instant::now();
        self.left = (self.left + self.refill * (now - self.at).as_secs_f64()).min(self.size);
        self.at = now;
        if now < self.closed_until || self.left < 1.0 - 1e-9 {
            let wait = Duration::from_secs_f64(((1.0 - self.left).max(0.0) / self.refill).ceil().max(1.0));
            self.closed_until = now + wait;
            self.refused.push((now, who));
            return Err(wait);
        }
        self.left -= 1.0;
        self.taken.push_back((now, who));
        Ok(self.left as u64)
    }

    fn refusals(&self, who: &str) -> usize {
        self.refused.iter().filter(|(_, refused)| *refused == who).count()
    }
}

/// Chance that is the same in every run.
#[derive(Clone, Copy)]
struct Dice(u64);

impl Dice {
    fn millis(&mut self, most: u64) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((self.0 >> 33) % (most + 1))
    }
}

/// How far away ARM is, and how long a permit is held before its request is sent: both at most, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Line {
    way: u64,
    held: u64,
}

const LINES: [Line; 3] = [Line { way: 4, held: 0 }, Line { way: 20, held: 300 }, Line { way: 300, held: 50 }];

fn budget(share: f64) -> Budget {
    let budget = Budget::new(BudgetConfig::with_share(share).unwrap());
    let turns = budget.clone();
    tokio::spawn(async move { turns.run().await });
    budget
}

fn claim(n: usize) -> Claim {
    Claim {
        principal: "p".into(),
        subscription: "s".into(),
        kind: OperationKind::Write,
        lane: format!("ws{}", n % 5),
        key: format!("k{n}"),
        priority: Priority::Person,
        provider_scope: None,
    }
}

/// Writes until ARM has taken it.
async fn write(budget: Budget, arm: Arc<Mutex<Arm>>, who: &'static str, n: usize, line: Line, mut dice: Dice) {
    loop {
        let permit = budget.admit(claim(n)).await;
        sleep(dice.millis(line.held)).await;
        let flight = permit.spend();
        sleep(dice.millis(line.way) + Duration::from_millis(1)).await;
        let answer = arm.lock().unwrap().request(who);
        sleep(dice.millis(line.way) + Duration::from_millis(1)).await;
        match answer {
            Ok(remaining) => return flight.answered(Some(remaining)),
            Err(wait) => budget.throttled("p", "s", OperationKind::Write, wait),
        }
    }
}

/// Many writes at once, of one client.
fn burst(
    budget: &Budget,
    arm: &Arc<Mutex<Arm>>,
    who: &'static str,
    writes: usize,
    line: Line,
    seed: u64,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for n in 0..writes {
        let dice = Dice(seed.wrapping_mul(7919) + n as u64);
        tasks.spawn(write(budget.clone(), arm.clone(), who, n, line, dice));
    }
    tasks
}

/// Seconds from the first request that ARM took to the last.
fn took(arm: &Arc<Mutex<Arm>>) -> f64 {
    let arm = arm.lock().unwrap();
    let (first, last) = (arm.taken.front().unwrap().0, arm.taken.back().unwrap().0);
    (last - first).as_secs_f64()
}

/// A bucket of ARM's, how many are written at once, and how much of the bound that may take, besides two tokens.
const BURSTS: [(f64, f64, usize, f64); 6] = [
    (200.0, 10.0, 300, 1.05),
    (20.0, 1.0, 300, 1.01),
    (20.0, 1.0, 30, 1.05),
    (100.0, 5.0, 300, 1.01),
    (1200.0, 10.0, 1300, 1.05),
    // A small bucket that fills as fast as a large one: its refill has to be found out.
    (10.0, 10.0, 200, 1.3),
];

#[tokio::test(start_paused = true)]
async fn bursts_take_what_the_bucket_takes_whatever_its_size() {
    let mut cases = 0;
    for (size, refill, writes, part) in BURSTS {
        for (line, seed) in LINES.iter().flat_map(|line| (1..6).map(move |seed| (*line, seed))) {
            let arm = Arm::new(size, refill);
            burst(&budget(1.0), &arm, "us", writes, line, seed).join_all().await;
            let what = format!("a bucket of {size} with {refill}/s, {writes} writes, {line:?}, seed {seed}");
            assert_eq!(arm.lock().unwrap().refusals("us"), 0, "{what}");
            let bound = (writes as f64 - size) / refill;
            assert!(took(&arm) <= bound * part + 2.0 / refill, "{what}: {} of {bound}", took(&arm));
            cases += 1;
        }
    }
    azureml_promises::held("against_arm::bursts_take_what_the_bucket_takes_whatever_its_size", cases);
}

#[tokio::test(start_paused = true)]
async fn two_halves_never_ask_for_more_than_the_whole() {
    let mut cases = 0;
    for (size, refill) in [(200.0, 10.0), (20.0, 1.0)] {
        for (line, seed) in LINES.iter().flat_map(|line| (1..6).map(move |seed| (*line, seed))) {
            let arm = Arm::new(size, refill);
            let one = burst(&budget(0.5), &arm, "one", 150, line, seed);
            let other = burst(&budget(0.5), &arm, "other", 150, line, seed + 100);
            one.join_all().await;
            other.join_all().await;
            assert!(arm.lock().unwrap().refused.is_empty(), "{size} {line:?} {seed}");
            cases += 1;
        }
    }
    azureml_promises::held("against_arm::two_halves_never_ask_for_more_than_the_whole", cases);
}

/// Somebody who draws so many a second from the same bucket, unevenly, and waits when refused.
async fn stranger(arm: Arc<Mutex<Arm>>, per_second: f64, mut dice: Dice) {
    let every = Duration::from_secs_f64(1.0 / per_second);
    let mut due = Instant::now();
    loop {
        due += every / 2 + every.mul_f64(dice.millis(1000).as_secs_f64());
        sleep_until(due).await;
        let answer = arm.lock().unwrap().request("stranger");
        if let Err(wait) = answer {
            sleep(wait).await;
            due = Instant::now();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_in_the_bucket_is_made_room_for() {
    let mut cases = 0;
    for (size, refill, part) in [(200.0, 10.0, 0.3), (200.0, 10.0, 0.6), (20.0, 1.0, 0.3), (20.0, 1.0, 0.6)] {
        for (line, seed) in LINES.iter().flat_map(|line| (1..4).map(move |seed| (*line, seed))) {
            let arm = Arm::new(size, refill);
            let other = tokio::spawn(stranger(arm.clone(), refill * part, Dice(seed)));
            let all = burst(&budget(1.0), &arm, "us", 300, line, seed).join_all();
            let done = timeout(Duration::from_secs(3600), all).await;
            other.abort();
            let what = format!("a bucket of {size} with {refill}/s, of which {part} isn't ours, {line:?}, seed {seed}");
            assert!(done.is_ok(), "{what}: not all were written");
            // What was under way when the bucket ran dry is refused together, and after that one at a time asks.
            let refused = arm.lock().unwrap().refusals("us");
            assert!(refused <= 10, "{what}: {refused} of 300 were refused");
            cases += 1;
        }
    }
    azureml_promises::held("against_arm::a_stranger_in_the_bucket_is_made_room_for", cases);
}
