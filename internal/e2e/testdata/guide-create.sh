curl https://pay.pipeblockchain.com/api/v1/invoice/create \
    -X POST \
    -H "Content-Type: multipart/form-data" \
    -d '{"api_key"=>YOUR-API-KEY,"price"=>12.34,"price_currency"=>"USD","callback_url"=>YOUR-PAYMENT-CALLBACK-URL,"order_id"=>"test_order_id","order_name"=>"test_order_name","refund_address"=>"refund_address"}'
