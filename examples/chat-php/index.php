<?php
// The page, by GET, and signing in, by POST of {"name":"…"}.

require __DIR__ . '/chat.php';

if ($_SERVER['REQUEST_METHOD'] === 'POST') {
	answer(sign_in(request_json()));
} else {
	header('Content-Type: text/html; charset=utf-8');
	readfile(__DIR__ . '/../chat/page.html');
}

function sign_in(array $request): array
{
	$name = $request['name'] ?? '';
	if (!is_string($name) || !preg_match('/^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,19}$/uD', $name))
		throw new Refusal(400, 'a name has up to 20 letters and digits');
	forget_people();
	$taken = one('SELECT 1 FROM people WHERE name = ?', $name);
	if ($taken)
		throw new Refusal(409, 'somebody of that name is here');

	// A name for polysocket that says nothing and never comes again.
	$client = bin2hex(random_bytes(16));
	$authorized = polysocket('POST', authorize_path($client), [
		'callback' => setting('callback'),
		'events' => true,
	]);
	query('INSERT INTO people (client, name, socket_id, since) VALUES (?, ?, ?, ?)',
		$client, $name, $authorized['socket_id'], time());
	return ['url' => setting('polysocket') . '/' . $authorized['socket_id']];
}

// Who has left, or never came, makes room for the name.
function forget_people(): void
{
	$gone = query('SELECT client FROM people WHERE since < ? AND NOT EXISTS
		(SELECT 1 FROM sessions WHERE sessions.client = people.client)',
		time() - AWAY_S);
	foreach ($gone->fetchAll(PDO::FETCH_COLUMN) as $client) {
		polysocket('DELETE', authorize_path($client));
		query('DELETE FROM people WHERE client = ?', $client);
	}
}
