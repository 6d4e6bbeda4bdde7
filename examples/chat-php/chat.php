<?php
// What the chat's two pages have in common: its configuration, its database,
// and how polysocket is spoken to. Nothing but functions.

const JSON = JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE;
const AWAY_S = 30;       // how long a name is kept for who has lost connection
const TEXT_BYTES = 4000; // that somebody may say at once
const LINES_KEPT = 1000;
const LINES_TOLD = 20;   // to whom connects

// The answer is a status and a sentence; anything else that is thrown is a 500,
// of which the reason stands in the server's log only.
class Refusal extends Exception
{
	public function __construct(public int $status, string $message)
	{
		parent::__construct($message);
	}
}

ini_set('display_errors', '0');
set_exception_handler(function (Throwable $error) {
	if (!$error instanceof Refusal)
		error_log($error);
	answer(['error' => $error instanceof Refusal
		? $error->getMessage() : 'that went wrong, try again'],
		$error instanceof Refusal ? $error->status : 500);
});

function answer(array $reply, int $status = 200): void
{
	http_response_code($status);
	header('Content-Type: application/json');
	header('Cache-Control: no-store');
	echo json_encode((object)$reply, JSON);
}

function request_json(): array
{
	$request = json_decode(file_get_contents('php://input'), true, 32);
	if (!is_array($request))
		throw new Refusal(400, 'that is no JSON object');
	return $request;
}

function setting(string $name): string
{
	static $settings;
	$settings ??= parse_ini_file(getenv('CHAT_CONFIG') ?: '/etc/chat.ini',
		true, INI_SCANNER_RAW)['chat'];
	return $settings[$name];
}

// ---- The database

function database(): PDO
{
	static $database;
	if (!$database) {
		$database = new PDO('sqlite:' . setting('database'), options:
			[PDO::ATTR_TIMEOUT => 10]); // seconds to wait for a lock
		$database->exec(file_get_contents(__DIR__ . '/../chat/chat.sql'));
	}
	return $database;
}

// Values never become part of the SQL.
function query(string $sql, mixed ...$values): PDOStatement
{
	$statement = database()->prepare($sql);
	$statement->execute($values);
	return $statement;
}

// The first column of the first row, or false.
function one(string $sql, mixed ...$values): mixed
{
	return query($sql, ...$values)->fetchColumn();
}

// A line of the chat. The same callback makes the same line, however often it
// comes: that is what its id is for.
function keep(string $webhook_id, string $kind, string $name, string $text = ''): array
{
	query('INSERT OR IGNORE INTO lines (webhook_id, kind, name, text)
		VALUES (?, ?, ?, ?)', $webhook_id, $kind, $name, $text);
	query('DELETE FROM lines WHERE number <=
		(SELECT max(number) FROM lines) - ?', LINES_KEPT);
	return query('SELECT number, kind, name, text FROM lines WHERE webhook_id = ?',
		$webhook_id)->fetch(PDO::FETCH_ASSOC);
}

function last_lines(): array
{
	return array_reverse(query('SELECT number, kind, name, text FROM lines
		ORDER BY number DESC LIMIT ' . LINES_TOLD)->fetchAll(PDO::FETCH_ASSOC));
}

function who_is_here(): array
{
	return query('SELECT name FROM people WHERE EXISTS
		(SELECT 1 FROM sessions WHERE sessions.client = people.client)
		ORDER BY name')->fetchAll(PDO::FETCH_COLUMN);
}

// ---- polysocket

function authorize_path(string $client): string
{
	return '/authorize/' . rawurlencode(setting('application')) . "/$client";
}

// Who has no session hears the line when there is one again, so it need not be
// stored for them (404: not even the right to one).
function tell_all(array $line): void
{
	$socket_ids = query('SELECT socket_id FROM people WHERE EXISTS
		(SELECT 1 FROM sessions WHERE sessions.client = people.client)');
	foreach ($socket_ids->fetchAll(PDO::FETCH_COLUMN) as $socket_id)
		polysocket('POST', "/publish/$socket_id",
			['message' => $line, 'store' => false]);
}

function polysocket(string $method, string $path, array $body = []): array
{
	$reply = file_get_contents(setting('polysocket') . $path, false,
		stream_context_create(['http' => [
			'method' => $method,
			'header' => ['Content-Type: application/json',
				'Authorization: Bearer ' . setting('application')],
			'content' => json_encode((object)$body, JSON),
			'timeout' => 10,
			'ignore_errors' => true, // we look at the status ourselves
		]]));
	$status = (int)explode(' ', $http_response_header[0] ?? ' 0')[1];
	if ($status !== 200 && $status !== 404)
		throw new RuntimeException("$method " . substr($path, 0, 12) . "…: $status $reply");
	return json_decode($reply, true, 32, JSON_THROW_ON_ERROR);
}
