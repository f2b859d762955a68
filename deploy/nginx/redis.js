// For nginx.conf beside it: where a new session leads to. `$node` becomes an address, or the session is refused.

async function ask(session, path) {
    const answer = await ngx.fetch(session.variables.bellwether + path);
    const text = (await answer.text()).trim();

    if (answer.status !== 200) {
        throw new Error(text);
    }
    return text;
}

async function lead(session, find) {
    try {
        session.variables.node = await find();
        session.allow();
    } catch (error) {
        session.error('bellwether: ' + error.message);
        session.deny();
    }
}

// The second question is stricter: a majority of the Sentinels has to name it, and no replica may be about to take its place.
function to_master(session) {
    lead(session, async function () {
        const node = await ask(session, '/master?format=text');

        await ask(session, '/nodes/' + node + '/master?format=text');
        return node;
    });
}

function to_replica(session) {
    lead(session, function () {
        return ask(session, '/replica?format=text&fallback=master');
    });
}

export default { to_master, to_replica };
