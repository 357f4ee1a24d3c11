-- name: AddSavedView :exec
INSERT INTO saved_view (id, user_id, merchant_id, name, query, created_at)
VALUES (@id, @user_id, @merchant_id, @name, @query, @created_at);

-- name: SavedViews :many
SELECT * FROM saved_view WHERE user_id = @user_id AND merchant_id = @merchant_id ORDER BY name LIMIT @most;

-- name: RenameSavedView :execrows
UPDATE saved_view SET name = @name WHERE id = @id AND user_id = @user_id AND merchant_id = @merchant_id;

-- name: RemoveSavedView :execrows
DELETE FROM saved_view WHERE id = @id AND user_id = @user_id AND merchant_id = @merchant_id;
