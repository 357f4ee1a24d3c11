curl https://pay.pipeblockchain.com/api/v1/test/callback \
-X POST \
-H "Content-Type: multipart/form-data" \
-d '{"api_key"=>YOUR-API-KEY,"invoice_id"=>"944B4B9C7367CBA6B0AC751E9C9AFB7663DDB73E6D32210D58885464E61575B5"}'
