//! A person at the page.

use azureml_tests::browser::{Browser, Programs};
use azureml_tests::team::{LONG, Team};
use azureml_tests::{Environment, Result, Until};
use serde_json::{Value, json};

use super::fixture;

/// The state that a cluster's row tells in words; nothing without one.
const STATE: &str = "(name => [...document.querySelectorAll('#workspaces tbody tr')]
    .find(row => row.querySelector('th').textContent.startsWith(name))?.querySelector('.state').textContent)";

/// Leaves the real stream for one that tells what it is given; `tell` and `hangUp` go on with it.
const STAGE: &str = "
    const [data] = arguments;
    const line = (event, data) => new TextEncoder().encode(`event: ${event}\\ndata: ${JSON.stringify(data)}\\n\\n`);
    window.fetch = async () => new Response(new ReadableStream({
        start(stream) {
            stream.enqueue(line('snapshot', data));
            window.tell = (data) => stream.enqueue(line('change', data));
            window.hangUp = () => { window.fetch = async () => { throw new TypeError('gone'); }; stream.close(); };
        },
    }));";

/// Counts who listens for the network's return, and has a stream that can't be shown.
const WATCHED: &str = "
    window.added = window.listening = 0;
    window.signals = [];
    const add = window.addEventListener.bind(window);
    window.addEventListener = (type, listener, options) => {
        if (type === 'online') {
            window.added++;
            window.listening++;
            options?.signal?.addEventListener('abort', () => window.listening--);
        }
        add(type, listener, options);
    };
    window.spoilt = async (_, { signal }) => {
        window.signals.push(signal);
        const text = `event: snapshot\ndata: ${JSON.stringify({ rows: [null] })}\n\n`;
        return new Response(new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode(text)) }));
    };";

pub async fn a_person_looks(env: &Environment, base: &str) -> Result<()> {
    let Some(programs) = Programs::for_test()? else { return Ok(()) };
    let browser = Browser::start(&programs, env.plane.dir()).await?;
    let team = Team { env, namespace: "ml".to_owned() };
    browser.look(1280, 900, false).await?;
    browser.open(&format!("{base}/page/")).await?;
    let mut cases = signed_in(env, &browser).await?;
    cases += watched(env, &browser, &team).await?;
    cases += crowded(&browser).await?;
    cases += narrowed(&browser).await?;
    cases += tidied(&browser).await?;
    cases += pictured(&browser).await?;
    azureml_promises::held("page::browser::a_person_looks", cases);
    Ok(())
}

/// A token that doesn't count is told, one that does opens the page.
async fn signed_in(env: &Environment, browser: &Browser) -> Result<usize> {
    browser.wait("!document.getElementById('login').hidden", LONG).await?;
    for (token, words) in
        [("nonsense".to_owned(), "accept the token"), (super::token(env, "ml", "nobody", &[])?, "may not list")]
    {
        browser.run("document.getElementById('token').value = ''", &[]).await?;
        browser.type_into("#token", &token).await?;
        browser.click("#form button").await?;
        browser.wait(&format!("document.getElementById('refused').textContent.includes('{words}')"), LONG).await?;
    }
    browser.type_into("#token", &super::token(env, "ml", "viewer", &[])?).await?;
    browser.click("#form button").await?;
    browser.wait(&format!("{STATE}('gpu') === 'Ready'"), LONG).await?;
    let shown = browser.run("return [document.body.innerText, location.href, document.cookie]", &[]).await?;
    assert!(
        shown[0].as_str().unwrap().contains("ml/research") && !shown[0].as_str().unwrap().contains("web/"),
        "{shown}"
    );
    assert!(
        !shown[1].as_str().unwrap().contains("eyJ") && shown[2] == "",
        "no token in the address, no cookie: {shown}"
    );
    Ok(4)
}

/// What happens is seen without a reload.
async fn watched(env: &Environment, browser: &Browser, team: &Team<'_>) -> Result<usize> {
    browser.run("window.same = true", &[]).await?;
    // Its creation takes as long as nobody may look at Azure.
    let after = json!({"method": "PUT", "pathContains": "/computes/fresh"});
    let reads = json!({"method": "GET", "pathContains": "/computes", "after": after});
    env.sim.fault(json!({"match": reads, "times": -1, "fault": {"status": 503}})).await?;
    team.cluster("fresh", json!({"scale": {"minNodes": 1, "maxNodes": 2}}))?;
    browser.wait("document.getElementById('operations').textContent.includes('Creationml/fresh')", LONG).await?;
    env.sim.clear_faults().await?;
    browser.wait(&format!("{STATE}('fresh') === 'Ready' && document.getElementById('work').hidden"), LONG).await?;
    let nodes = "[...document.querySelectorAll('#workspaces tr')].some(row => row.textContent.includes('fresh')
        && row.querySelector('.nodes .figure')?.textContent === '1' && row.querySelector('.spark .line'))";
    browser.wait(nodes, LONG).await?;

    team.cluster("wrong", json!({"vmSize": "Standard_Nonsense_v9"}))?;
    team.wait("wrong", Until::condition("Stalled", "True")).await?;
    browser.wait(&format!("{STATE}('wrong') === 'Needs you'"), LONG).await?;
    let told = browser.run("return document.getElementById('problems').innerText", &[]).await?;
    let told = told.as_str().unwrap_or_default();
    let status = team.get("wrong")?;
    let conditions = status["status"]["conditions"].as_array().unwrap();
    let stalled = conditions.iter().find(|condition| condition["type"] == "Stalled").unwrap();
    let text = |member: &str| stalled[member].as_str().unwrap();
    let reason = azureml_api::condition::Reason::parse(text("reason")).unwrap();
    for words in ["ml/wrong", text("reason"), text("message"), reason.cause(), reason.cure()] {
        assert!(told.contains(words), "{words:?} in {told:?}");
    }
    team.delete("amlcc", "wrong")?;
    browser.wait("document.getElementById('wrong').hidden", LONG).await?;
    assert_eq!(browser.run("return window.same", &[]).await?, true, "it was never loaded again");

    browser.run("location.reload()", &[]).await?;
    browser.wait(&format!("!window.same && {STATE}('fresh') === 'Ready'"), LONG).await?;
    browser.click("#leave").await?;
    browser.wait("sessionStorage.length === 0 && document.getElementById('content').hidden", LONG).await?;
    Ok(6)
}

/// Many objects, in the words of somebody who means ill, from a standby.
async fn crowded(browser: &Browser) -> Result<usize> {
    staged(browser, fixture::crowd()).await?;
    let shown = "document.querySelectorAll('#workspaces tbody tr').length";
    browser.wait(&format!("{shown} === 200"), LONG).await?;
    browser.wait("document.getElementById('notice').textContent.includes('stands by')", LONG).await?;
    browser.click("#only").await?;
    browser.wait(&format!("{shown} === 20"), LONG).await?;
    browser.click("#only").await?;
    browser.type_into("#filter", "team-2 cluster-07").await?;
    browser.wait(&format!("{shown} === 3"), LONG).await?;
    browser.type_into("#filter", " nothing").await?;
    browser.wait("!document.getElementById('none').hidden", LONG).await?;
    let message = browser.run("return document.querySelector('.problem .message').textContent", &[]).await?;
    assert_eq!(message, fixture::EVIL, "told word by word");
    let made = "return [window.pwned ?? null, document.querySelectorAll('main img, main script, [onerror]').length]";
    assert_eq!(browser.run(made, &[]).await?, json!([null, 0]), "and never taken for markup");
    // What goes, goes; and a stream that breaks off is told, with what was known still there.
    browser.run("tell({gone: ['ComputeCluster/team-0/cluster-000']})", &[]).await?;
    browser.wait("document.querySelectorAll('.problem').length === 19", LONG).await?;
    browser.run("hangUp()", &[]).await?;
    browser.wait("document.getElementById('live').className.includes('lost')", LONG).await?;
    assert_eq!(browser.run("return document.querySelectorAll('.problem').length", &[]).await?, 19);
    Ok(7)
}

/// What isn't known is told: rights in no namespace yet, namespaces that weren't asked about, what Azure's rights hide.
async fn narrowed(browser: &Browser) -> Result<usize> {
    let mut data = fixture::afternoon();
    data["head"]["namespaces"] = json!([]);
    data["head"]["unasked"] = json!(7);
    data["rows"][0]["state"] = json!("limited");
    data["rows"][0]["problem"] = json!({"condition": "Limited", "reason": "Forbidden", "message": "sizes are not known",
        "since": fixture::NOW - 60, "cause": "", "cure": ""});
    staged(browser, data).await?;
    let notice = "document.getElementById('notice').textContent";
    browser.wait(&format!("{notice}.includes('no workspace') && {notice}.includes('7 more namespaces')"), LONG).await?;
    let limited = "document.querySelector('.problem.limited')";
    browser.wait(&format!("{limited}?.textContent.includes('sizes are not known')"), LONG).await?;
    Ok(2)
}

/// Retries leave nothing behind: no listener, and no connection that nobody reads.
async fn tidied(browser: &Browser) -> Result<usize> {
    staged(browser, fixture::afternoon()).await?;
    browser.wait("!document.getElementById('content').hidden", LONG).await?;
    browser.run(WATCHED, &[]).await?;
    browser.run("hangUp(); window.fetch = window.spoilt", &[]).await?;
    browser.wait("window.signals.length >= 3 && window.added >= 3", LONG).await?;
    let left = browser.run("return [window.listening <= 1, window.signals[0].aborted]", &[]).await?;
    assert_eq!(left, json!([true, true]), "listeners that are left are at most one, and what failed is closed");
    Ok(2)
}

/// Pictures for the documentation, wide and narrow, light and dark: nothing hangs over the edge, and text is legible.
async fn pictured(browser: &Browser) -> Result<usize> {
    staged(browser, json!({"now": fixture::NOW, "rows": [], "head": {"counts": {}, "budgets": []}})).await?;
    browser.wait("!document.getElementById('empty').hidden", LONG).await?;
    let looks = [("wide", 1280, 1290, false), ("dark", 1280, 1290, true), ("narrow", 400, 1960, false)];
    for (name, width, height, dark) in looks {
        browser.look(width, height, dark).await?;
        staged(browser, fixture::afternoon()).await?;
        browser.wait("document.querySelectorAll('#workspaces tbody tr').length === 6", LONG).await?;
        let over = browser.run("return document.documentElement.scrollWidth - innerWidth", &[]).await?;
        assert!(over.as_i64().unwrap() <= 0, "{name}: {over} pixels hang over the edge");
        let faint = browser.run(CONTRAST, &[]).await?;
        assert_eq!(faint, json!([]), "{name}: text with too little contrast");
        if std::env::var("AZUREML_GENERATE").is_ok_and(|value| value == "write") {
            let file = azureml_tests::checkout().join(format!("docs/page/{name}.png"));
            std::fs::write(file, browser.picture().await?).unwrap();
        }
    }
    Ok(1 + 2 * looks.len())
}

async fn staged(browser: &Browser, data: Value) -> Result<()> {
    browser.run("sessionStorage.clear(); window.same = true; location.reload()", &[]).await?;
    browser.wait("!window.same && !document.getElementById('login').hidden", LONG).await?;
    browser.run(STAGE, &[data]).await?;
    browser.type_into("#token", "staged").await?;
    browser.click("#form button").await
}

/// Text whose contrast with its ground is less than 4.5 (WCAG 2.2, 1.4.3).
const CONTRAST: &str = "
    const numbers = (color) => {
        const canvas = new OffscreenCanvas(1, 1).getContext('2d');
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => {
        const part = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    };
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const color = numbers(getComputedStyle(at).backgroundColor);
            if (color[3] === 255) return color;
        }
        return [255, 255, 255];
    };
    const faint = new Set();
    for (const element of document.querySelectorAll('body *')) {
        const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!text || !element.checkVisibility()) continue;
        const [a, b] = [light(numbers(getComputedStyle(element).color)), light(ground(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) faint.add(`${element.tagName}.${element.className}: ${ratio.toFixed(2)}`);
    }
    return [...faint];";
