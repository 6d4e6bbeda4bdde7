<?php
/*
 * Whether a callback comes from polysocket: it is signed as Standard Webhooks
 * describe, and not older than five minutes. `$key` is the token's
 * callback_key, whsec_ and all; `$body` the bytes as they came.
 */
function verify_callback(string $key, string $id, string $timestamp,
	string $signatures, string $body, int $window_s = 300): bool
{
	$secret = str_starts_with($key, 'whsec_')
		? base64_decode(substr($key, strlen('whsec_')), true) : false;
	if ($secret === false || strlen($secret) < 24) // anybody can sign with nothing
		throw new InvalidArgumentException('that is no callback_key');
	if (!ctype_digit($timestamp) || abs(time() - (int)$timestamp) > $window_s)
		return false;
	$signature = 'v1,' . base64_encode(hash_hmac('sha256',
		"$id.$timestamp.$body", $secret, true));
	foreach (explode(' ', $signatures) as $one)
		if (hash_equals($signature, $one)) // takes as long for any
			return true;
	return false;
}
