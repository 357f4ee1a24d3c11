<?php
// A shop in one file, for PHP 8.1 or newer with allow_url_fopen:
// PIPE_URL=… PIPE_KEY=… PIPE_SECRET=… SHOP_URL=… php -S 127.0.0.1:3000 shop.php
declare(strict_types=1);
ini_set('display_errors', '0'); // a notice in the answer to a callback would not be "ok"

const ORDERS = '/tmp/pipe-shop-orders.json'; // a real shop has a database

// call asks PIPE's API. Errors carry PIPE's code.
function call(string $path, array $body): array
{
    $context = stream_context_create(['http' => [
        'method' => 'POST', 'timeout' => 10, 'ignore_errors' => true, 'content' => json_encode($body),
        'header' => ['Content-Type: application/json', 'Authorization: Bearer ' . getenv('PIPE_KEY')],
    ]]);
    $answer = json_decode((string) file_get_contents(getenv('PIPE_URL') . '/api/v1/' . $path, false, $context), true);
    if (($answer['code'] ?? 0) !== 1) {
        throw new RuntimeException($answer['message'] ?? 'PIPE does not answer', $answer['code'] ?? 0);
    }
    return $answer['data'];
}

// verify is the callback that PIPE signed, or null. $body is what was received: php://input.
function verify(array $server, string $body, string $secret): ?array
{
    $id = $server['HTTP_WEBHOOK_ID'] ?? '';
    $time = $server['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if ($id === '' || abs(time() - (int) $time) > 300) {
        return null;
    }
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret));
    $want = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$time.$body", $key, true));
    foreach (explode(' ', $server['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $signature) {
        if (hash_equals($want, $signature)) {
            return ['id' => $id] + json_decode($body, true);
        }
    }
    return null;
}

function paid(array $callback): void
{
    $data = $callback['data'];
    if (str_starts_with($callback['id'], 'test_') || isset($data['refund_id'])) {
        return; // a trial, or what became of a refund
    }
    change($data['order_id'], function (?array $order) use ($callback, $data): ?array {
        if (!$order || $order['currency'] !== $data['price_currency'] || $order['price'] != $data['price']) {
            return $order;
        }
        if ($callback['code'] === 4092) {
            $order['state'] = 'reversed'; // do not ship
        } elseif ($data['status'] === 2 && $order['state'] === 'open') {
            $order['state'] = 'paid'; // ship once, however often it is told
        }
        return $order;
    });
}

// change changes one order, alone.
function change(string $id, callable $with): void
{
    $file = fopen(ORDERS, 'c+');
    flock($file, LOCK_EX);
    $orders = json_decode(stream_get_contents($file) ?: '[]', true);
    $orders[$id] = $with($orders[$id] ?? null);
    rewind($file);
    ftruncate($file, 0);
    fwrite($file, json_encode(array_filter($orders)));
    fclose($file);
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($_SERVER['REQUEST_METHOD'] === 'POST' && $path === '/buy') {
    $order = ['id' => uniqid('o-'), 'price' => 10500, 'currency' => 'KRW', 'state' => 'open'];
    change($order['id'], fn () => $order);
    $made = call('invoice/create', [
        'price' => $order['price'], 'price_currency' => $order['currency'], 'order_id' => $order['id'], 'language' => 'kr',
        'callback_url' => getenv('SHOP_URL') . '/callback', 'redirect_url' => getenv('SHOP_URL') . '/thanks',
    ]);
    header('Location: ' . $made['invoice_url'], true, 303);
} elseif ($_SERVER['REQUEST_METHOD'] === 'POST' && $path === '/callback') {
    $callback = verify($_SERVER, file_get_contents('php://input'), getenv('PIPE_SECRET'));
    if (!$callback) {
        http_response_code(403);
        exit('not signed');
    }
    paid($callback);
    echo 'ok';
} elseif ($path === '/thanks') {
    echo 'Thank you. The order is on its way once it is paid.';
} elseif ($path === '/orders') {
    echo json_encode(array_values(json_decode((string) @file_get_contents(ORDERS), true) ?: []));
} else {
    echo '<form method="post" action="/buy"><button>10,500 KRW</button></form>';
}
