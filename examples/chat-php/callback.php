<?php
// What polysocket tells us: who comes and goes, and what people say.

require __DIR__ . '/chat.php';
require __DIR__ . '/../verify.php';

$body = file_get_contents('php://input');
$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
$genuine = verify_callback(setting('callback_key'), $id,
	$_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '',
	$_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '', $body);
if (!$genuine)
	throw new Refusal(401, 'the signature is wrong or old');
$callback = json_decode($body, true);
// PHP reads no half of a surrogate pair, which a browser can send.
answer($callback ? hear($id, $callback)
	: ['message' => ['private' => 'that is no text']]);

// An answer of 200 is the end of it. Anything else, and that is any exception
// too, has polysocket post the callback again; so all of this may happen twice.
function hear(string $id, array $callback): array
{
	$client = $callback['client'];
	$name = one('SELECT name FROM people WHERE client = ?', $client);
	if ($name === false)
		throw new Refusal(410, 'nobody we know'); // and polysocket forgets it too
	switch ($callback['event'] ?? 'message') {
	case 'connected':
		return connected($id, $client, $name, $callback['session']);
	case 'disconnected':
		return disconnected($id, $client, $name, $callback['session']);
	default:
		return said($id, $client, $name, trim($callback['message']));
	}
}

// The reply goes to this session alone: what it has missed, and who is here.
function connected(string $id, string $client, string $name, string $session): array
{
	query('INSERT OR IGNORE INTO sessions (session, client) VALUES (?, ?)',
		$session, $client);
	if (one('SELECT count(*) FROM sessions WHERE client = ?', $client) == 1)
		tell_all(keep($id, 'joined', $name));
	return ['messages' => [...last_lines(), ['here' => who_is_here()]]];
}

function disconnected(string $id, string $client, string $name, string $session): array
{
	query('DELETE FROM sessions WHERE session = ?', $session);
	query('UPDATE people SET since = ? WHERE client = ?', time(), $client);
	if (one('SELECT count(*) FROM sessions WHERE client = ?', $client) == 0)
		tell_all(keep($id, 'left', $name));
	return [];
}

function said(string $id, string $client, string $name, string $text): array
{
	if ($text === '/who')
		return ['message' => ['private' => 'here: ' . implode(', ', who_is_here())]];
	if (strlen($text) > TEXT_BYTES)
		return ['message' => ['private' => 'that was too long']];
	if ($text !== '')
		tell_all(keep($id, 'said', $name, $text));
	return [];
}
